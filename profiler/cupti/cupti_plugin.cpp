#include "profiler/cupti/cupti_session.hpp"
#include "profiler/cupti/gpu_state.hpp"
#include "profiler/cupti/plugin_interface.hpp"

extern "C" __attribute__((visibility("default"))) const foreplan::CuptiPlugin* foreplan_cupti() {
  static constexpr foreplan::CuptiPlugin plugin{.version = FOREPLAN_VERSION,
                                                .open = &foreplan::open_cupti_session,
                                                .gpu_state = &foreplan::gpu_state};
  return &plugin;
}
