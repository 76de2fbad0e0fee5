#include "planner/divisors.hpp"

#include <algorithm>

#include "planner/strategy.hpp"

namespace foreplan {

std::vector<std::int64_t> divisors(std::int64_t number, std::int64_t most) {
  std::vector<std::int64_t> found;
  for (std::int64_t d = 1; d <= std::min(number, most) && d * d <= number; ++d) {
    if (number % d != 0) continue;
    found.push_back(d);
    if (d != number / d && number / d <= most) found.push_back(number / d);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::int64_t> micro_batch_sizes(std::int64_t share) {
  std::vector<std::int64_t> sizes = divisors(share, share);
  std::erase_if(sizes, [&](std::int64_t size) { return share / size > kMostMicroBatches; });
  return sizes;
}

}  // namespace foreplan
