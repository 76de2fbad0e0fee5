#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/counter_random.hpp"
#include "runtime/host_kernels.hpp"
#include "models/operands.hpp"

namespace foreplan {

using Values = std::vector<float>;

/// Runs an op on random operands and keeps everything for the comparison.
struct Trial {
  OpKey key;
  std::vector<Values> reads;
  std::vector<Values> before, after;  ///< of the writes
  StepContext context{.step = 3, .global_batch = 8, .learning_rate = 0.1};

  explicit Trial(OpKey k) : key(std::move(k)) {
    const OperandBytes sizes = operand_bytes(key);
    std::uint64_t stream = 0;
    const auto random = [&](Bytes size) {
      Values values(static_cast<std::size_t>(size.count) / 4);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = random_normal(5, stream, i);
      ++stream;
      return values;
    };
    for (const Bytes size : sizes.reads) reads.push_back(random(size));
    for (const Bytes size : sizes.writes) before.push_back(random(size));
  }

  void run() {
    after = before;
    std::vector<const std::byte*> in;
    std::vector<std::byte*> out;
    for (const Values& v : reads) in.push_back(reinterpret_cast<const std::byte*>(v.data()));
    for (Values& v : after) out.push_back(reinterpret_cast<std::byte*>(v.data()));
    make_host_call({.key = key, .flops = {}, .traffic = {}}, in, out)->run(context);
  }

  double read(std::size_t operand, std::int64_t i) const {
    return static_cast<double>(reads[operand][static_cast<std::size_t>(i)]);
  }
  double old(std::size_t operand, std::int64_t i) const {
    return key.accumulate ? static_cast<double>(before[operand][static_cast<std::size_t>(i)]) : 0.0;
  }

  /// Compares result `w` with `expected(i)`, to `tolerance` of 1 or of the value if larger.
  void expect(std::size_t w, double tolerance,
              const std::function<double(std::int64_t)>& expected) {
    for (std::size_t i = 0; i < after[w].size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const double value = expected(at) + old(w, at);
      ASSERT_NEAR(static_cast<double>(after[w][i]), value,
                  tolerance * std::max(1.0, std::fabs(value)))
          << format(key) << " result " << w << " element " << i;
    }
  }

  void set_labels(std::size_t operand, std::int32_t classes) {
    for (std::size_t i = 0; i < reads[operand].size(); ++i) {
      reads[operand][i] = std::bit_cast<float>(static_cast<std::int32_t>(i * 7) % classes);
    }
  }
  std::int32_t label(std::size_t operand, std::int64_t i) const {
    return std::bit_cast<std::int32_t>(reads[operand][static_cast<std::size_t>(i)]);
  }
};

struct Shape {
  std::int64_t m, k, n;
};
// Odd sizes, one element, thin, beyond a vector and beyond a block of columns.
inline const std::vector<Shape> kShapes{
    {1, 1, 1}, {3, 5, 7}, {8, 16, 32}, {17, 33, 10}, {5, 130, 67}};

inline double dot(std::int64_t n, const std::function<double(std::int64_t)>& term) {
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += term(i);
  return total;
}

/// Ops that are loops, overwriting and accumulating.
class Loops : public testing::TestWithParam<bool> {
 protected:
  Trial trial(std::string op, Pass pass, std::vector<std::int64_t> shape) const {
    return Trial(
        {.op = std::move(op), .pass = pass, .shape = std::move(shape), .accumulate = GetParam()});
  }
};

}  // namespace foreplan
