#pragma once

#include <string>

#include "sim/error.hpp"

namespace foreplan {

/// The message of the Error that `act` throws; "accepted" if it throws none.
template <typename Act>
std::string rejection(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace foreplan
