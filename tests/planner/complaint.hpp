#pragma once

#include <gtest/gtest.h>

#include <string>

#include "sim/error.hpp"

namespace foreplan {

/// What `act` complains about, or "no complaint".
template <typename Act>
std::string complaint(Act act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

}  // namespace foreplan
