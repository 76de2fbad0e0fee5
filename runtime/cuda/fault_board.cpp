#include "runtime/cuda/fault_board.hpp"

#include <algorithm>
#include <array>

#include "runtime/cuda/check.hpp"

namespace foreplan {

FaultBoard::FaultBoard() { add_block(); }

void FaultBoard::add_block() {
  blocks_.push_back(make_gpu_memory(kBlock * sizeof(KernelFault)));
  const std::vector<KernelFault> none(kBlock);
  check(cudaMemcpy(blocks_.back().get(), none.data(), kBlock * sizeof(KernelFault),
                   cudaMemcpyHostToDevice),
        "cudaMemcpy");
}

KernelFault* FaultBoard::next() {
  const std::size_t i = taken_.size();
  if (i == blocks_.size() * kBlock) add_block();
  return static_cast<KernelFault*>(blocks_[i / kBlock].get()) + i % kBlock;
}

void FaultBoard::take(DeviceId device, TaskId task, std::int64_t classes) {
  taken_.push_back({.device = device, .task = task, .classes = classes});
}

std::vector<FaultBoard::Report> FaultBoard::collect() {
  std::vector<Report> reports;
  for (std::size_t first = 0; first < taken_.size(); first += kBlock) {
    std::array<KernelFault, kBlock> faults;
    const std::size_t count = std::min(kBlock, taken_.size() - first);
    void* const place = blocks_[first / kBlock].get();
    check(cudaMemcpy(faults.data(), place, count * sizeof(KernelFault), cudaMemcpyDeviceToHost),
          "cudaMemcpy");
    const std::size_t before = reports.size();
    for (std::size_t i = 0; i < count; ++i) {
      const unsigned long long bits = faults[i].row_and_label;
      if (bits == KernelFault::kNone) continue;
      reports.push_back(taken_[first + i]);
      reports.back().row = static_cast<std::int64_t>(bits >> 32);
      reports.back().label = static_cast<std::int32_t>(static_cast<std::uint32_t>(bits));
    }
    if (reports.size() == before) continue;
    faults.fill({});
    check(cudaMemcpy(place, faults.data(), count * sizeof(KernelFault), cudaMemcpyHostToDevice),
          "cudaMemcpy");
  }
  return reports;
}

}  // namespace foreplan
