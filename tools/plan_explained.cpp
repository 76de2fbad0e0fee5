#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "planner/plan_io.hpp"
#include "tools/plan_goal.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

/// In days, hours or seconds, whichever it is two of.
std::string long_time(double time_s) {
  if (time_s >= 2 * 86400) return fmt::format("{:.4g} days", time_s / 86400);
  return time_s >= 2 * 3600 ? fmt::format("{:.4g} hours", time_s / 3600)
                            : fmt::format("{:.4g} s", time_s);
}

std::string change(const TimePart& part) {
  const bool more = part.time >= Duration::zero();
  return fmt::format("{} {} {}", format(more ? part.time : -part.time), more ? "more" : "less",
                     part.what);
}

std::string describe(const RunnerUp& other) {
  std::vector<std::string> changes;
  for (const TimePart& part : other.more) {
    if (part.time != Duration::zero()) changes.push_back(change(part));
  }
  return fmt::format("runner-up: {} slower with {}: {}\n", percent(other.slower),
                     fmt::join(other.differs, ", "), fmt::join(changes, ", "));
}

std::string describe(const Sensitivity& more) {
  std::string text = fmt::format("{:.0f} % more {}: ", 100 * (more.factor - 1), more.what);
  if (more.changes_plan) {
    Strategy strategy = more.best->strategy;
    strategy.layers.clear();
    return text + fmt::format("{} faster, with {} ({} with the same plan)\n", percent(more.gain),
                              format(strategy), percent(more.gain_kept));
  }
  return text + fmt::format("{} faster, with the same plan\n", percent(more.gain));
}

Json parts_json(const std::vector<TimePart>& parts) {
  Json json = Json::array();
  for (const TimePart& part : parts) {
    json.push_back({{"what", part.what}, {"time_s", seconds(part.time)}, {"share", part.share}});
  }
  return json;
}

Json sensitivity_json(const Sensitivity& more) {
  return {{"what", more.what},
          {"factor", more.factor},
          {"gain", more.gain},
          {"gain_same_plan", more.gain_kept},
          {"changes_plan", more.changes_plan},
          {"strategy", more.best ? to_json(more.best->strategy) : Json()}};
}

}  // namespace

std::string describe_training(const Goal& goal, const Estimate& step) {
  if (!goal.steps) return {};
  const TrainingForecast training = forecast_training(step, *goal.steps, goal.price);
  return fmt::format("training: {:.0f} steps, {} on {} devices, {:.4g} device hours{}\n",
                     training.steps, long_time(training.time_s), training.devices,
                     training.device_hours,
                     training.cost ? fmt::format(", cost {:.4g}", *training.cost) : "");
}

std::string describe(const Explanation& why) {
  std::vector<std::string> parts;
  for (const TimePart& part : why.parts) {
    if (part.time != Duration::zero()) {
      parts.push_back(fmt::format("{} {}", part.what, percent(part.share)));
    }
  }
  std::string text = fmt::format("why: {}; limited by {}; {} of {} in use on stage {}\n",
                                 fmt::join(parts, ", "), name(why.limit), format(why.memory.peak),
                                 format(why.memory.room), why.memory.stage);
  if (why.runner_up) text += describe(*why.runner_up);
  for (const Sensitivity& more : why.sensitivities) text += describe(more);
  return text;
}

Json training_json(const Goal& goal, const Estimate& step) {
  if (!goal.steps) return nullptr;
  const TrainingForecast training = forecast_training(step, *goal.steps, goal.price);
  return {{"steps", training.steps},
          {"time_s", training.time_s},
          {"devices", training.devices},
          {"device_hours", training.device_hours},
          {"cost", training.cost ? Json(*training.cost) : Json()}};
}

Json to_json(const Explanation& why) {
  Json json{{"parts", parts_json(why.parts)},
            {"limited_by", name(why.limit)},
            {"memory",
             {{"stage", why.memory.stage},
              {"peak_bytes", why.memory.peak.count},
              {"room_bytes", why.memory.room.count}}},
            {"runner_up", nullptr},
            {"sensitivities", Json::array()}};
  if (why.runner_up) {
    json["runner_up"] = {{"slower", why.runner_up->slower},
                         {"differs", why.runner_up->differs},
                         {"more", parts_json(why.runner_up->more)},
                         {"strategy", to_json(why.runner_up->step.strategy)}};
  }
  for (const Sensitivity& more : why.sensitivities) {
    json["sensitivities"].push_back(sensitivity_json(more));
  }
  return json;
}

}  // namespace foreplan
