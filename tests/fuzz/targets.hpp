#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace foreplan::fuzz {

/// A reader, and where good input for it lies.
struct Target {
  std::string_view name;
  /// Reads input from a path, or from a text where that is what it takes. Throws Error where the
  /// input is wrong; anything else that it throws is a fault.
  void (*read)(const std::string& path, std::string_view text);
  std::string_view seeds;  ///< folder, from the root of the project; empty: tests/fuzz/seeds only
  bool json = true;        ///< whether mutations know its structure
};

/// Every reader; another is one line in targets.cpp.
std::span<const Target> targets();
/// @throws Error(invalid_argument) listing the targets if there is none of that name
const Target& target_named(std::string_view name);

/// A file in memory, at a path of its own.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void write(std::string_view text);
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// Reads `text` as the target does.
/// @return what is wrong with how it was refused: another exception than Error(invalid_argument), a
///   message of several lines, longer than kLongestMessage or with unprintable characters; empty if
///   it was read, or refused as it should be
std::optional<std::string> fault(const Target& target, MemoryFile& file, std::string_view text);
/// Whether the target refuses `text`.
bool refuses(const Target& target, MemoryFile& file, std::string_view text);

inline constexpr std::size_t kLongestMessage = 2000;

}  // namespace foreplan::fuzz
