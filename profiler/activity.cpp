#include "profiler/activity.hpp"

#include <algorithm>

namespace foreplan {
namespace {

constexpr int kWarp = 32;
constexpr int kRegisterUnit = 256;  ///< of a warp
constexpr int kSharedOfBlock = 1024;

int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace

int resident_blocks(const Activity& kernel, const MultiprocessorLimits& limits) {
  const int warps = std::max(1, ceil_div(static_cast<int>(kernel.threads), kWarp));
  int blocks = std::min(limits.blocks, limits.threads / kWarp / warps);
  if (kernel.registers > 0) {
    const int of_warp =
        ceil_div(static_cast<int>(kernel.registers) * kWarp, kRegisterUnit) * kRegisterUnit;
    blocks = std::min(blocks, limits.registers / of_warp / warps);
  }
  const int shared = static_cast<int>(kernel.shared_bytes) + kSharedOfBlock;
  return std::max(1, std::min(blocks, limits.shared_bytes / shared));
}

double multiprocessor_share(const Activity& kernel, const MultiprocessorLimits& limits) {
  const double places =
      static_cast<double>(limits.multiprocessors) * resident_blocks(kernel, limits);
  return std::min(1.0, static_cast<double>(kernel.blocks) / places);
}

}  // namespace foreplan
