#include "sim/json_reader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostDepth = 100;
constexpr std::size_t kMostBytes = std::size_t{1} << 28;
constexpr std::size_t kMostValues = 10'000'000;  ///< a parsed value takes up to 100 bytes
constexpr std::size_t kMostPointer = 500;        ///< characters of a place in a message

/// The end of a long pointer, from one of its '/' on.
std::string shortened(const std::string& pointer) {
  if (pointer.size() <= kMostPointer) return pointer;
  return "..." + pointer.substr(pointer.find('/', pointer.size() - kMostPointer));
}

std::string place_of(std::string_view file, const std::string& pointer) {
  const std::string name = printable(file, 200);
  return pointer.empty() ? name : fmt::format("{}: {}", name, shortened(pointer));
}

std::string child_pointer(const std::string& parent, std::string_view key) {
  std::string escaped;
  for (const char c : printable(key, 60)) {
    escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return parent + "/" + escaped;
}

std::string shown(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return fmt::format("an object of {} key{}", value.size(), value.size() == 1 ? "" : "s");
    case Json::value_t::array:
      return fmt::format("an array of {} value{}", value.size(), value.size() == 1 ? "" : "s");
    case Json::value_t::string:
      return fmt::format("\"{}\"", printable(value.get_ref<const std::string&>(), 60));
    default:
      return value.dump();
  }
}

std::string integer_between(std::int64_t least, std::int64_t most) {
  const bool from = least != std::numeric_limits<std::int64_t>::min();
  const bool to = most != std::numeric_limits<std::int64_t>::max();
  if (from && to) return fmt::format("an integer from {} to {}", least, most);
  if (to) return fmt::format("an integer <= {}", most);
  if (least == 1) return "a positive integer";
  if (least == 0) return "an integer >= 0";
  return from ? fmt::format("an integer >= {}", least) : "an integer";
}

/// The whole number that `value` is, if it is one.
std::optional<std::int64_t> whole(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return {};
  const auto number = value.get<double>();
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(number >= -kLimit && number < kLimit) || std::trunc(number) != number) return {};
  return static_cast<std::int64_t>(number);
}

/// Builds the document event by event: unlike the library's own builder it refuses a key that
/// stands twice and nesting too deep for readers that recurse.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    if (open_.back()->contains(value)) {
      reject(fmt::format("{}: expected each key once, got \"{}\" twice", place_of(file_, pointer()),
                         printable(value, 60)));
    }
    key_ = value;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    const std::size_t at = position == 0 ? 0 : position - 1;
    const std::string_view before = text_.substr(0, at);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto newline = before.rfind('\n');
    const std::size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    // The end of what was read tells more than its beginning, which may lie megabytes back.
    const std::size_t begin = std::max(line_begin, at < 24 ? 0 : at - 24);
    const std::string got =
        at >= text_.size()
            ? "the end of the file"
            : fmt::format("'{}'", printable(text_.substr(begin, at + 1 - begin), 40));
    reject(fmt::format("{}: line {}, column {}: expected valid JSON, got {}", printable(file_, 200),
                       line, at - line_begin + 1, got));
  }

 private:
  bool add(Json value) { return place(std::move(value)), true; }

  Json& place(Json value) {
    if (++values_ > kMostValues) {
      reject(fmt::format("{}: expected at most {} values, got more", printable(file_, 200),
                         kMostValues));
    }
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_object()) return parent[key_] = std::move(value);
    parent.push_back(std::move(value));
    return parent.back();
  }

  bool open(Json value) {
    if (open_.size() == kMostDepth) {
      reject(fmt::format("{}: expected at most {} levels of nesting, got more",
                         printable(file_, 200), kMostDepth));
    }
    Json& placed = place(std::move(value));
    open_.push_back(&placed);
    keys_.push_back(key_);
    return true;
  }

  bool close() { return open_.pop_back(), keys_.pop_back(), true; }

  std::string pointer() const {
    std::string result;
    for (std::size_t i = 1; i < open_.size(); ++i) {
      const Json& parent = *open_[i - 1];
      result =
          child_pointer(result, parent.is_object() ? keys_[i] : std::to_string(parent.size() - 1));
    }
    return result;
  }

  std::string_view text_;
  const std::string& file_;
  Json root_;
  std::vector<Json*> open_;  ///< a value never moves while its children are read
  std::vector<std::string> keys_;
  std::string key_;
  std::size_t values_ = 0;
};

std::string read_text(const std::filesystem::path& path) {
  const std::string name = printable(path.string(), 200);
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(status)) reject(name + ": expected a file, got a directory");
  if (!std::filesystem::exists(status)) reject(name + ": expected a file, found none there");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) reject(name + ": expected a readable file, could not open it");
  std::string text;
  std::vector<char> block(std::size_t{1} << 16);
  while (stream.read(block.data(), static_cast<std::streamsize>(block.size())) ||
         stream.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kMostBytes) reject(name + ": expected at most 256 MiB, got more");
  }
  if (stream.bad()) reject(name + ": expected a readable file, could not read it");
  return text;
}

[[noreturn]] void cannot_write(const std::filesystem::path& path, const std::string& reason) {
  throw Error(ErrorCode::failed,
              fmt::format("{}: could not write it: {}", printable(path.string(), 200), reason));
}

/// @return what went wrong; empty if nothing did
std::string write_in_place(const std::filesystem::path& path, std::string_view text) {
  errno = 0;
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (stream) return {};
  return errno == 0 ? "input/output error" : std::generic_category().message(errno);
}

}  // namespace

std::string JsonValue::text() const {
  if (!value_->is_string()) expected("text");
  return value_->get<std::string>();
}

bool JsonValue::boolean() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

std::int64_t JsonValue::integer(std::int64_t least, std::int64_t most) const {
  const auto number = whole(*value_);
  if (!number || *number < least || *number > most) expected(integer_between(least, most));
  return *number;
}

double JsonValue::number(double least) const {
  const bool bounded = least != std::numeric_limits<double>::lowest();
  if (!value_->is_number() || !std::isfinite(value_->get<double>()) ||
      value_->get<double>() < least) {
    expected(bounded ? fmt::format("a number >= {}", least) : "a number");
  }
  return value_->get<double>();
}

double JsonValue::positive_number() const {
  if (!value_->is_number() || !std::isfinite(value_->get<double>()) ||
      !(value_->get<double>() > 0)) {
    expected("a positive number");
  }
  return value_->get<double>();
}

double JsonValue::share() const {
  if (!value_->is_number() || !(value_->get<double>() > 0 && value_->get<double>() <= 1)) {
    expected("a number above 0, at most 1");
  }
  return value_->get<double>();
}

std::vector<JsonValue> JsonValue::array() const {
  if (!value_->is_array()) expected("an array");
  std::vector<JsonValue> values;
  values.reserve(value_->size());
  for (const Json& value : *value_) {
    values.emplace_back(value, file_, child_pointer(pointer_, std::to_string(values.size())));
  }
  return values;
}

JsonObject JsonValue::object() const {
  if (!value_->is_object()) expected("an object");
  return JsonObject(*value_, file_, pointer_);
}

bool JsonValue::is_text() const { return value_->is_string(); }
bool JsonValue::is_object() const { return value_->is_object(); }
bool JsonValue::is_array() const { return value_->is_array(); }
bool JsonValue::is_null() const { return value_->is_null(); }
std::string JsonValue::json() const { return value_->dump(); }

void JsonValue::expected(std::string_view what) const {
  reject(fmt::format("{}: expected {}, got {}", place(), what, shown(*value_)));
}

std::string JsonValue::place() const { return place_of(file_, pointer_); }

JsonValue JsonObject::required(const std::string& key) {
  if (auto value = optional(key)) return *std::move(value);
  reject(fmt::format("{}: expected the key \"{}\", got none", place(), key));
}

std::optional<JsonValue> JsonObject::optional(const std::string& key) {
  known_.insert(key);
  const auto found = value_->find(key);
  if (found == value_->end()) return {};
  return JsonValue(*found, file_, child_pointer(pointer_, key));
}

std::vector<std::pair<std::string, JsonValue>> JsonObject::entries() {
  std::vector<std::pair<std::string, JsonValue>> result;
  for (const auto& [key, value] : value_->items()) {
    known_.insert(key);
    result.emplace_back(key, JsonValue(value, file_, child_pointer(pointer_, key)));
  }
  return result;
}

void JsonObject::finish() const {
  for (const auto& [key, value] : value_->items()) {
    if (known_.count(key) != 0) continue;
    reject(fmt::format("{}: expected one of {}, got an unknown key",
                       place_of(file_, child_pointer(pointer_, key)), fmt::join(known_, ", ")));
  }
}

std::string JsonObject::place() const { return place_of(file_, pointer_); }

JsonDocument::JsonDocument(std::unique_ptr<nlohmann::json> value, std::string file)
    : value_(std::move(value)), file_(std::make_unique<std::string>(std::move(file))) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonDocument JsonDocument::read(const std::filesystem::path& path) {
  return parse(read_text(path), path.string());
}

JsonDocument JsonDocument::parse(std::string_view text, std::string file) {
  Builder builder(text, file);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return JsonDocument(std::make_unique<Json>(builder.take()), std::move(file));
}

JsonObject JsonDocument::root(std::string_view kind) const {
  JsonObject object = value().object();
  const std::string schema = fmt::format("foreplan.{}/1", kind);
  const auto found = object.optional("schema");
  if (!found) {
    reject(fmt::format("{}: expected the key \"schema\" to be \"{}\", got none",
                       printable(*file_, 200), schema));
  }
  if (!found->is_text() || found->text() != schema) found->expected("\"" + schema + "\"");
  return object;
}

JsonValue JsonDocument::value() const { return JsonValue(*value_, *file_, ""); }

void write_file(const std::filesystem::path& path, std::string_view text) {
  namespace fs = std::filesystem;
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (fs::is_directory(status)) cannot_write(path, "it is a directory");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    // A pipe or a device such as /dev/stdout must not be replaced by a file.
    if (const std::string reason = write_in_place(path, text); !reason.empty()) {
      cannot_write(path, reason);
    }
    return;
  }
  const fs::path target = fs::exists(status) ? fs::canonical(path, code) : path;
  fs::path temporary = target;
  temporary += fmt::format(".{}.tmp", ::getpid());
  std::string reason = write_in_place(temporary, text);
  if (reason.empty()) {
    fs::rename(temporary, target, code);
    if (!code) return;
    reason = code.message();
  }
  fs::remove(temporary, code);
  cannot_write(path, reason);
}

}  // namespace foreplan
