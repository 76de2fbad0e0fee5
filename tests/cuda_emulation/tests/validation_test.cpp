// In the emulation's virtual time nothing is left to chance but the order of what is not ordered: what the
// forecast says of handing out, streams, events and copies has to be true there.
#include "tools/validation.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/cuda_emulation/streams.hpp"
#include "tests/tools/cuda/linked_half.hpp"

namespace foreplan {
namespace {

class EmulatedValidation : public testing::Test {
 protected:
  void SetUp() override { emulation::reset(); }
  void TearDown() override { emulation::reset(); }
};

// The bounds are those that are asked of GPUs: 5 % on one device, 12 % on logical ones.
TEST_F(EmulatedValidation, ForecastsWhatTheEmulationDoes) {
  emulation::settings().gpus = 1;
  const ProfilingOptions brief{
      .warm_up = 1, .turn = Duration{1}, .least_steps = 1, .most_steps = 2, .head_start = 64_KB};
  const auto machine = cuda_machine(linked_half(), 4);
  const Validation validation =
      validate(*machine, {.workloads = {{.model = "mnist-linear", .global_batch = 16}},
                          .rounds = 1,
                          .turns = brief,
                          .row_turns = brief,
                          .first_turns = brief});
  ASSERT_GE(validation.rows.size(), 5U);
  for (const ValidationRow& row : validation.rows) {
    const double bound = row.strategy.devices() == 1 ? 0.05 : 0.12;
    EXPECT_LE(std::abs(row.error()), bound) << row.id << " on " << row.source;
  }
}

}  // namespace
}  // namespace foreplan
