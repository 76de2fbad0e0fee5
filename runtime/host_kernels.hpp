#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/backend.hpp"

namespace foreplan {

/// An op bound to its operands: everything that can be prepared is, so that `run` only computes.
class HostCall {
 public:
  HostCall() = default;
  HostCall(const HostCall&) = delete;
  HostCall& operator=(const HostCall&) = delete;
  virtual ~HostCall() = default;
  /// Computes once, on the calling thread; the same inputs give the same bits.
  /// @throws Error(failed) if the data is unusable (a label out of range)
  virtual void run(const StepContext& context) = 0;
};

/// Binds `op`, any of the table in models/op_cost.hpp, to its operands.
///
/// Matrix products are oneDNN's matmul; everything else is loops of our own. fp32; sums over rows
/// and losses run in fp64.
/// @param reads, writes  as the table lists them, each as large as operand_bytes() tells
/// @throws Error(invalid_argument) if there is no such kernel or the number of operands is wrong
/// @throws Error(unavailable) if oneDNN refuses
std::unique_ptr<HostCall> make_host_call(const Op& op, std::vector<const std::byte*> reads,
                                         std::vector<std::byte*> writes);

}  // namespace foreplan
