#pragma once

#include <stdexcept>
#include <string>

namespace foreplan {

/// What kind of trouble an Error reports; the command maps it to its exit status.
enum class ErrorCode {
  invalid_argument,  ///< bad input or usage: exit 2
  infeasible,        ///< the input is sound and nothing fits: exit 3
  unavailable,       ///< this machine or build lacks what was asked for: exit 1
  failed,            ///< went wrong while running: exit 1
};

/// The one exception of foreplan: the caller cannot go on.
///
/// The message is one line for a person: file, place, what was expected, what was found.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Throws Error(invalid_argument) with `message`.
[[noreturn]] inline void reject(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

}  // namespace foreplan
