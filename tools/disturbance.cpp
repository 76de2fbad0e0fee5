#include "tools/disturbance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "sim/error.hpp"
#include "sim/replayer.hpp"

namespace foreplan {
namespace {

constexpr std::array<int, 4> kPercentiles = {5, 50, 95, 99};

}  // namespace

SlowDevice slow_device(const std::string& text) {
  SlowDevice slow;
  const char* end = text.data() + text.size();
  std::int32_t device = 0;
  const auto [colon, bad_device] = std::from_chars(text.data(), end, device);
  if (bad_device == std::errc() && colon != end && *colon == ':') {
    const auto [rest, bad_factor] = std::from_chars(colon + 1, end, slow.factor);
    slow.device = DeviceId{device};
    if (bad_factor == std::errc() && rest == end) return slow;
  }
  reject(fmt::format("--slow: expected DEVICE:FACTOR, as 3:1.3, got '{}'", text));
}

nlohmann::ordered_json jitter_json(const Disturbance& told, const MakespanSample& sample) {
  nlohmann::ordered_json json{{"deviation", told.jitter},
                              {"seed", told.seed},
                              {"runs", told.runs},
                              {"mean_s", seconds(sample.mean())}};
  for (const int percent : kPercentiles) {
    json[fmt::format("p{}_s", percent)] = seconds(sample.percentile(percent));
  }
  json["max_s"] = seconds(sample.percentile(100));
  return json;
}

std::string jitter_text(const Disturbance& told, const MakespanSample& sample) {
  std::string text = fmt::format("with jitter {:g}, {} runs: mean {}", told.jitter, told.runs,
                                 format(sample.mean()));
  for (const int percent : kPercentiles) {
    text += fmt::format(", p{} {}", percent, format(sample.percentile(percent)));
  }
  return text + fmt::format(", longest {}\n", format(sample.percentile(100)));
}

MakespanSample replicated_jitter(const TaskGraph& graph, const Costs& costs,
                                 const Disturbance& told, int replicas) {
  Replayer replayer(graph);
  std::vector<Duration> makespans;
  for (int run = 0; run < told.runs; ++run) {
    Duration last{};
    for (int replica = 0; replica < replicas; ++replica) {
      const auto draw = static_cast<std::uint64_t>(run) * static_cast<std::uint64_t>(replicas) +
                        static_cast<std::uint64_t>(replica);
      last = std::max(last, replayer.makespan(jittered(costs, told.chance(), draw)));
    }
    makespans.push_back(last);
  }
  return MakespanSample(std::move(makespans));
}

}  // namespace foreplan
