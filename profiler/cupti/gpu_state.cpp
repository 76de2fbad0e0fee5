#include "profiler/cupti/gpu_state.hpp"

#include <dlfcn.h>

namespace foreplan {
namespace {

// As nvml.h has them, which comes with some toolkits only.
using NvmlDevice = void*;
constexpr int kSuccess = 0;
constexpr int kClockMultiprocessors = 1;  // NVML_CLOCK_SM
constexpr int kClockMemory = 2;           // NVML_CLOCK_MEM
constexpr int kSensorGpu = 0;             // NVML_TEMPERATURE_GPU

/// An open library; closed with it.
class Library {
 public:
  explicit Library(const char* file) : handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {}
  ~Library() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  template <typename Function>
  Function find(const char* name) const {
    return handle_ != nullptr ? reinterpret_cast<Function>(dlsym(handle_, name)) : nullptr;
  }

 private:
  void* handle_;
};

}  // namespace

std::optional<GpuState> gpu_state(const std::string& bus_id) {
  const Library nvml("libnvidia-ml.so.1");
  const auto begin = nvml.find<int (*)()>("nvmlInit_v2");
  const auto end = nvml.find<int (*)()>("nvmlShutdown");
  const auto device_at =
      nvml.find<int (*)(const char*, NvmlDevice*)>("nvmlDeviceGetHandleByPciBusId_v2");
  const auto clock = nvml.find<int (*)(NvmlDevice, int, unsigned*)>("nvmlDeviceGetClockInfo");
  const auto power = nvml.find<int (*)(NvmlDevice, unsigned*)>("nvmlDeviceGetPowerUsage");
  const auto heat = nvml.find<int (*)(NvmlDevice, int, unsigned*)>("nvmlDeviceGetTemperature");
  if (!begin || !end || !device_at || !clock || !power || !heat || begin() != kSuccess) return {};
  std::optional<GpuState> state;
  NvmlDevice device = nullptr;
  unsigned multiprocessors = 0, memory = 0, milliwatts = 0, celsius = 0;
  if (device_at(bus_id.c_str(), &device) == kSuccess &&
      clock(device, kClockMultiprocessors, &multiprocessors) == kSuccess &&
      clock(device, kClockMemory, &memory) == kSuccess && power(device, &milliwatts) == kSuccess &&
      heat(device, kSensorGpu, &celsius) == kSuccess) {
    state = GpuState{.clock_mhz = static_cast<double>(multiprocessors),
                     .memory_clock_mhz = static_cast<double>(memory),
                     .power_w = static_cast<double>(milliwatts) / 1000,
                     .temperature_c = static_cast<double>(celsius)};
  }
  static_cast<void>(end());
  return state;
}

}  // namespace foreplan
