#pragma once

#include <filesystem>

#include "models/stack.hpp"

namespace foreplan {

/// Reads a `foreplan.stack/1` file: `name`, `source`, and the features of Stack under their own names,
/// which keep their defaults where they are left out (docs/formats.md has the table).
/// @throws Error(invalid_argument) naming file and place
Stack read_stack(const std::filesystem::path& path);

}  // namespace foreplan
