#include "tools/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// The word of a task's name that says what is done: the last with a '.' (a layer's name may have one
/// too); else "copy" where there are several words, as in "fc1 all_reduce 0->1"; else all of it.
std::string kind_of(const std::string& id) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < id.size();) {
    const std::size_t end = std::min(id.find(' ', begin), id.size());
    words.push_back(id.substr(begin, end - begin));
    begin = end + 1;
  }
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    if (word->find('.') != std::string::npos) return *word;
  }
  return words.size() == 1 ? words.front() : "copy";
}

Duration gap(Duration a, Duration b) { return a > b ? a - b : b - a; }

void check_same_graph(const Measurement& forecast, const Measurement& measured) {
  const std::size_t common = std::min(forecast.tasks.size(), measured.tasks.size());
  for (std::size_t i = 0; i < common; ++i) {
    const MeasuredTask& a = forecast.tasks[i];
    const MeasuredTask& b = measured.tasks[i];
    if (a.id == b.id && a.device == b.device) continue;
    reject(
        fmt::format("compare: task {} is '{}' on device {} in the forecast and '{}' on device {} "
                    "in the measurement: expected two timelines of one graph",
                    i, a.id, static_cast<int>(a.device), b.id, static_cast<int>(b.device)));
  }
  if (forecast.tasks.size() != measured.tasks.size()) {
    reject(
        fmt::format("compare: the forecast has {} tasks and the measurement {}: expected two "
                    "timelines of one graph",
                    forecast.tasks.size(), measured.tasks.size()));
  }
}

}  // namespace

double Comparison::error() const {
  return measured > Duration::zero() ? seconds(forecast) / seconds(measured) - 1 : 0;
}

Comparison compare(const Measurement& forecast, const Measurement& measured) {
  check_same_graph(forecast, measured);
  Comparison result{.forecast = forecast.step_time.mean, .measured = measured.step_time.mean};
  std::map<std::string, KindDifference> kinds;
  for (std::size_t i = 0; i < forecast.tasks.size(); ++i) {
    const MeasuredTask& a = forecast.tasks[i];
    const MeasuredTask& b = measured.tasks[i];
    result.tasks.push_back({.id = a.id,
                            .device = a.device,
                            .forecast = a.finish - a.start,
                            .measured = b.finish - b.start,
                            .forecast_start = a.start,
                            .measured_start = b.start});
    KindDifference& kind = kinds[kind_of(a.id)];
    kind.kind = kind_of(a.id);
    ++kind.tasks;
    kind.forecast += a.finish - a.start;
    kind.measured += b.finish - b.start;
  }
  for (const auto& [name, kind] : kinds) result.kinds.push_back(kind);
  const auto larger = [](const auto& a, const auto& b) {
    return gap(a.forecast, a.measured) > gap(b.forecast, b.measured);
  };
  std::stable_sort(result.tasks.begin(), result.tasks.end(), larger);
  std::stable_sort(result.kinds.begin(), result.kinds.end(), larger);
  return result;
}

}  // namespace foreplan
