#include "tools/outputs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace foreplan {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, const std::string& reason) {
  throw Error(ErrorCode::failed, fmt::format("{}: could not write it: {}", path.string(), reason));
}

}  // namespace

void check_output(const fs::path& path) {
  if (path.empty()) return;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) cannot_write(path, "it is a directory");
  // A pipe or a device is written in place, a file is replaced by way of its folder.
  const bool special = fs::exists(status) && !fs::is_regular_file(status);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path written = special ? path : folder;
  if (::access(written.c_str(), W_OK) != 0) {
    cannot_write(path, std::generic_category().message(errno));
  }
  if (!special && !fs::is_directory(folder, ignored)) cannot_write(path, "Not a directory");
}

void make_folder(const fs::path& folder) {
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && !fs::is_directory(folder, error))
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) {
    throw Error(ErrorCode::failed,
                fmt::format("{}: could not make the folder: {}", folder.string(), error.message()));
  }
}

}  // namespace foreplan
