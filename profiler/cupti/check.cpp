#include "profiler/cupti/check.hpp"

#include <fmt/format.h>

#include "sim/error.hpp"

namespace foreplan {

void check(CUptiResult status, const char* call) {
  if (status == CUPTI_SUCCESS) return;
  const char* text = nullptr;
  if (cuptiGetResultString(status, &text) != CUPTI_SUCCESS || text == nullptr) text = "unknown";
  const std::string what = fmt::format("{}: {}", call, text);
  switch (status) {
    case CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED:
    case CUPTI_ERROR_MAX_LIMIT_REACHED:
    case CUPTI_ERROR_HARDWARE_BUSY:
      throw Error(ErrorCode::unavailable, "another profiler holds CUPTI (" + what + ")");
    case CUPTI_ERROR_INSUFFICIENT_PRIVILEGES:
      throw Error(ErrorCode::unavailable,
                  "the driver lets only administrators profile (" + what +
                      "; the module option NVreg_RestrictProfilingToAdminUsers=0 lifts that)");
    default:
      throw Error(ErrorCode::failed, what);
  }
}

}  // namespace foreplan
