#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sim/error.hpp"

namespace foreplan {

/// Refuses, before long work is done for it, a file that could not be written afterwards. An empty
/// `path` is no file.
/// @throws Error(failed) naming it if its folder is missing or not writable, or it is a folder
void check_output(const std::filesystem::path& path);

/// Makes `folder` with all above it, unless it is there. An empty `folder` is none.
/// @throws Error(failed) naming it
void make_folder(const std::filesystem::path& folder);

/// What `act` returns; what it throws tells `place` first, unless it does so already.
template <typename Act>
auto at_place(std::string_view place, Act act) {
  try {
    return act();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(place)) throw;
    throw Error(error.code(), std::string(place) + ": " + message);
  }
}

}  // namespace foreplan
