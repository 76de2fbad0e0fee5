#include "tools/speedup_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "planner/plan_io.hpp"
#include "planner/stage_layout.hpp"
#include "sim/error.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// Three digits, as far as there are so many.
std::string three_digits(double number) {
  return fmt::format("{:.{}f}", number, number < 10 ? 2 : number < 100 ? 1 : 0);
}

/// Without the layers of stages where they follow from the rest, as for all but hybrids.
std::string brief(const FamilySpeedup& family, const SpeedupPoint& point, const Task& task) {
  Strategy strategy = point.best->strategy;
  const auto usual = [&] {
    return even_layers(unit_chain(task.model), static_cast<int>(strategy.layers.size()));
  };
  const bool cut = family.family == Family::hybrid && strategy.layers.size() > 1;
  if (!cut || (!task.stack.weighed_stages && strategy.layers == usual())) strategy.layers.clear();
  const std::string split =
      point.split_from.empty() ? "" : fmt::format(", by features from {} on", point.split_from);
  return format(strategy) + split;
}

std::string speedups(const SpeedupTable& table) {
  std::vector<std::string> header{"speed-up on"};
  for (const int devices : table.devices) header.push_back(fmt::format("{}", devices));
  TextTable text(header);
  for (const FamilySpeedup& family : table.families) {
    std::vector<std::string> row{std::string(name(family.family))};
    for (const SpeedupPoint& point : family.points) {
      row.push_back(point.best ? three_digits(point.speedup) : std::string(name(point.obstacle)));
    }
    text.add(std::move(row));
  }
  return text.text();
}

std::string bests(const SpeedupTable& table, const Task& task) {
  TextTable text({"at its best", "devices", "step", "speed-up", "efficiency", "memory",
                  "limited by", "strategy"});
  for (const FamilySpeedup& family : table.families) {
    const SpeedupPoint* point = family.best();
    if (point == nullptr) continue;
    const Estimate& best = *point->best;
    text.add({std::string(name(family.family)), fmt::format("{}", point->devices),
              format(best.step_time), three_digits(point->speedup),
              fmt::format("{:.1f} %", 100 * point->efficiency), format(best.peak_memory),
              std::string(name(best.limited_by)), brief(family, *point, task)});
  }
  return text.text();
}

std::string baseline_text(const SpeedupBaseline& baseline) {
  if (baseline.devices == 1) {
    return fmt::format("one device: {} a step ({})", format(baseline.one_device),
                       name(baseline.family));
  }
  return fmt::format(
      "one device does not hold it; speed-ups are over {} devices ({}), which count as {} times "
      "one",
      baseline.devices, name(baseline.family), baseline.devices);
}

Json point_json(const SpeedupPoint& point) {
  Json json{{"devices", point.devices}, {"obstacle", nullptr}, {"reason", nullptr}};
  if (!point.best) {
    json["obstacle"] = name(point.obstacle);
    if (!point.reason.empty()) json["reason"] = point.reason;
    return json;
  }
  const Estimate& best = *point.best;
  json["step_time_s"] = seconds(best.step_time);
  json["samples_per_s"] = best.samples_per_s;
  json["speedup"] = point.speedup;
  json["efficiency"] = point.efficiency;
  json["mfu"] = best.mfu;
  json["peak_bytes"] = best.peak_memory.count;
  json["limited_by"] = name(best.limited_by);
  json["strategy"] = to_json(best.strategy);
  json["split_from"] = point.split_from.empty() ? Json() : Json(point.split_from);
  return json;
}

Json baseline_json(const SpeedupBaseline& baseline) {
  return {{"devices", baseline.devices},
          {"family", name(baseline.family)},
          {"one_device_step_time_s", seconds(baseline.one_device)}};
}

}  // namespace

std::string describe(const SpeedupTable& table, const Task& task) {
  std::string text = fmt::format("{}, {} samples a step, on {}; ", task.model.name(),
                                 task.global_batch, task.cluster.name());
  text += table.baseline ? baseline_text(*table.baseline) : "no family fits";
  text += "\n\n" + speedups(table);
  const FamilySpeedup* fastest = table.best();
  if (fastest == nullptr) return text;
  const SpeedupPoint& point = *fastest->best();
  text += "\n" + bests(table, task);
  text += fmt::format("\nfastest: {} on {} devices, {}\n", name(fastest->family), point.devices,
                      brief(*fastest, point, task));
  return text;
}

Json to_json(const SpeedupTable& table) {
  Json families = Json::array();
  for (const FamilySpeedup& family : table.families) {
    Json points = Json::array();
    for (const SpeedupPoint& point : family.points) points.push_back(point_json(point));
    families.push_back({{"family", name(family.family)}, {"points", std::move(points)}});
  }
  const FamilySpeedup* fastest = table.best();
  return {{"devices", table.devices},
          {"baseline", table.baseline ? baseline_json(*table.baseline) : Json()},
          {"families", std::move(families)},
          {"fastest", fastest != nullptr ? Json(name(fastest->family)) : Json()}};
}

std::vector<Family> families_named(const std::vector<std::string>& words) {
  std::vector<Family> families;
  for (const std::string& word : words) {
    const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                    [&](Family family) { return name(family) == word; });
    if (found == kFamilies.end()) {
      std::vector<std::string_view> known;
      for (const Family family : kFamilies) known.push_back(name(family));
      reject(
          fmt::format("--families: expected some of {}, got '{}'", fmt::join(known, ", "), word));
    }
    families.push_back(*found);
  }
  return families;
}

}  // namespace foreplan
