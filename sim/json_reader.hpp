#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace foreplan {

class JsonObject;

/// A value inside a parsed document that knows its place, so that what is wrong can be said in one
/// line: `models/x.json: /layers/3/out_features: expected a positive integer, got -4`.
///
/// Borrows from the JsonDocument; every accessor throws Error(invalid_argument) on a wrong type or
/// range.
class JsonValue {
 public:
  JsonValue(const nlohmann::json& value, std::string_view file, std::string pointer)
      : value_(&value), file_(file), pointer_(std::move(pointer)) {}

  std::string text() const;
  bool boolean() const;
  /// A whole number in [least, most]; `2.0` counts as whole.
  std::int64_t integer(std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  std::int64_t positive_integer() const { return integer(1); }
  /// A finite number >= `least`.
  double number(double least = std::numeric_limits<double>::lowest()) const;
  /// A finite number > 0.
  double positive_number() const;
  /// A number in (0, 1].
  double share() const;
  std::vector<JsonValue> array() const;
  JsonObject object() const;

  bool is_text() const;
  bool is_object() const;
  bool is_array() const;
  bool is_null() const;
  /// As JSON, keys in order of the alphabet: of equal values the same.
  std::string json() const;

  /// Throws Error: "FILE: POINTER: expected EXPECTED, got <this value, shortened>".
  [[noreturn]] void expected(std::string_view what) const;
  /// "FILE: POINTER", for messages of the caller's own.
  std::string place() const;

 private:
  const nlohmann::json* value_;
  std::string_view file_;
  std::string pointer_;
};

/// An object whose keys are read one by one; `finish` then refuses the keys that nobody read.
class JsonObject {
 public:
  JsonObject(const nlohmann::json& value, std::string_view file, std::string pointer)
      : value_(&value), file_(file), pointer_(std::move(pointer)) {}

  /// @throws Error(invalid_argument) if the key is missing
  JsonValue required(const std::string& key);
  /// Empty if the key is missing.
  std::optional<JsonValue> optional(const std::string& key);
  /// Every key in order of the alphabet with its value: for objects used as maps. Reads them all.
  std::vector<std::pair<std::string, JsonValue>> entries();
  /// @throws Error(invalid_argument) naming the first key that was not asked for, and those known
  void finish() const;
  std::string place() const;

 private:
  const nlohmann::json* value_;
  std::string_view file_;
  std::string pointer_;
  std::set<std::string> known_;
};

/// A parsed JSON file.
class JsonDocument {
 public:
  /// Reads and parses `path`.
  /// @throws Error(invalid_argument) if it cannot be read or is not JSON (line and column are told)
  static JsonDocument read(const std::filesystem::path& path);
  /// Parses `text`; `file` names it in messages.
  static JsonDocument parse(std::string_view text, std::string file);

  JsonDocument(JsonDocument&&) noexcept;
  ~JsonDocument();

  /// The top object, whose key "schema" must be `foreplan.<kind>/1`.
  /// @throws Error(invalid_argument) telling the schema that was expected and the one found
  JsonObject root(std::string_view kind) const;
  /// The top value, of whatever shape.
  JsonValue value() const;

 private:
  JsonDocument(std::unique_ptr<nlohmann::json> value, std::string file);
  std::unique_ptr<nlohmann::json> value_;
  std::unique_ptr<std::string> file_;
};

/// Writes `text` to a temporary name beside `path` and renames it there, so that a reader sees the
/// old file or the whole new one.
/// @throws Error(failed) if it cannot be written; `path` is then as it was
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace foreplan
