#include "planner/end_stages.hpp"

#include <algorithm>

namespace foreplan {

void UnitCounts::add(const UnitChain& chain, std::int32_t begin, std::int32_t end) {
  const auto at = [&](std::int32_t unit) { return chain.units.begin() + unit; };
  for (std::int32_t unit = begin; unit < end; ++unit) {
    const auto first = std::find(chain.units.begin(), at(unit), *at(unit));
    const auto same = static_cast<std::int32_t>(first - chain.units.begin());
    const auto place = std::lower_bound(
        counts_.begin(), counts_.end(), same,
        [](const UnitCount& some, std::int32_t wanted) { return some.unit < wanted; });
    if (place == counts_.end() || place->unit != same) {
      counts_.insert(place, {same, 1});
    } else {
      ++place->count;
    }
  }
}

namespace {

StageUnits stage_units(const UnitChain& chain, const Borders& borders, std::size_t stage,
                       std::size_t stages) {
  StageUnits units;
  for (std::size_t j = stage; j + 1 < borders.size(); j += stages) {
    units.all.add(chain, borders[j], borders[j + 1]);
    units.firsts.add(chain, borders[j], borders[j] + 1);
    units.lasts.add(chain, borders[j + 1] - 1, borders[j + 1]);
  }
  return units;
}

}  // namespace

std::vector<EndStages> end_stages(const UnitChain& chain, const std::vector<Borders>& partitions,
                                  int stages) {
  const auto p = static_cast<std::size_t>(stages);
  std::vector<EndStages> found;
  for (const Borders& borders : partitions) {
    EndStages& ends = found.emplace_back();
    ends.before.add(chain, borders.front(), borders[p - 1]);
    ends.chunk.add(chain, borders[0], borders[1]);
    ends.first = stage_units(chain, borders, 0, p);
    ends.last = stage_units(chain, borders, p - 1, p);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace foreplan
