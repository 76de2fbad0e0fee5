#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "sim/op.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Rates of ops at some shapes, from which those at other shapes are told.
///
///   t = flops / rate,   1 / rate = sum_i w_i / rate_i / sum_i w_i,   w_i = 1 / d_i,
///   d_i^2 = sum over the numbers of the shape of (ln a - ln a_i)^2
///
/// over the three nearest shapes of the same op, pass and dtype (ties: those that were added first) of which
/// no number is more than twice or less than half of what is asked for. Between two shapes a kernel's rate
/// changes by steps, as its tiles do, which this does not see.
class ShapeTable {
 public:
  void add(const OpKey& key, Flops flops, Duration time);
  /// @return  empty where no shape is near enough
  std::optional<Duration> time(const OpKey& key, Flops flops) const;

 private:
  struct Entry {
    std::vector<std::int64_t> shape;
    double seconds_per_flop = 0;
  };
  std::map<std::tuple<std::string, Pass, DType>, std::vector<Entry>> entries_;
};

}  // namespace foreplan
