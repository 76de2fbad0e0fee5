#pragma once

#include <iosfwd>

namespace foreplan {

/// Reads the command line and runs the command that it names; help and version go to `out` as well.
/// @throws Error(invalid_argument) for bad usage, and what the command throws
void run_command_line(int argc, const char* const* argv, std::ostream& out);

}  // namespace foreplan
