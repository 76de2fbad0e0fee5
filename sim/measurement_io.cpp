#include "sim/measurement_io.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"
#include "sim/profile_io.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

MeasuredTask read_task(JsonObject object) {
  MeasuredTask task;
  task.id = object.required("id").text();
  task.device =
      DeviceId{static_cast<std::int32_t>(object.required("device").integer(0, kMostDevices - 1))};
  task.start = read_seconds(object.required("start_s"));
  const JsonValue finish = object.required("finish_s");
  task.finish = read_seconds(finish);
  if (task.finish < task.start) finish.expected("a time that is not before start_s");
  object.finish();
  return task;
}

/// JSON has no word for a number that is none; null stands for it.
double read_loss(const JsonValue& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.number();
}

Sample read_step_time(JsonObject object) {
  const Sample sample = read_sample(object);
  object.finish();
  return sample;
}

Json task_json(const MeasuredTask& task) {
  return {{"id", task.id},
          {"device", static_cast<std::int32_t>(task.device)},
          {"start_s", json_seconds(task.start)},
          {"finish_s", json_seconds(task.finish)}};
}

}  // namespace

Measurement read_measurement(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("measurement");
  Measurement measurement;
  measurement.model = root.required("model").text();
  measurement.strategy = root.required("strategy").text();
  measurement.backend = root.required("backend").text();
  measurement.device = root.required("device").text();
  measurement.global_batch = root.required("global_batch").positive_integer();
  measurement.steps = root.required("steps").integer(0);
  measurement.step_time = read_step_time(root.required("step_time").object());
  for (const JsonValue& value : root.required("tasks").array()) {
    measurement.tasks.push_back(read_task(value.object()));
  }
  for (const JsonValue& value : root.required("losses").array()) {
    measurement.losses.push_back(read_loss(value));
  }
  root.finish();
  return measurement;
}

std::string to_json(const Measurement& measurement) {
  Json json = {{"schema", "foreplan.measurement/1"},
               {"model", measurement.model},
               {"strategy", measurement.strategy},
               {"backend", measurement.backend},
               {"device", measurement.device},
               {"global_batch", measurement.global_batch},
               {"steps", measurement.steps},
               {"step_time", Json::object()},
               {"tasks", Json::array()},
               {"losses", Json::array()}};
  write_sample(json["step_time"], measurement.step_time);
  for (const MeasuredTask& task : measurement.tasks) json["tasks"].push_back(task_json(task));
  for (const double loss : measurement.losses) {
    json["losses"].push_back(std::isfinite(loss) ? Json(loss) : Json());
  }
  return document_text(json);
}

std::vector<MeasuredTask> measured_tasks(const TaskGraph& graph, const Timeline& timeline) {
  if (timeline.start.size() != graph.size() || timeline.finish.size() != graph.size()) {
    reject(fmt::format("measurement: expected a timeline of {} tasks, got {}", graph.size(),
                       timeline.start.size()));
  }
  std::vector<MeasuredTask> tasks;
  for (std::size_t t = 0; t < graph.size(); ++t) {
    tasks.push_back({task_name(graph, TaskId{static_cast<std::int32_t>(t)}), graph.device[t],
                     timeline.start[t], timeline.finish[t]});
  }
  return tasks;
}

Timeline timeline_of(const Measurement& measurement, const TaskGraph& graph) {
  if (measurement.tasks.size() != graph.size()) {
    reject(fmt::format("measurement of {}: expected {} tasks, got {}", measurement.strategy,
                       graph.size(), measurement.tasks.size()));
  }
  Timeline timeline;
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const MeasuredTask& task = measurement.tasks[t];
    const std::string expected = task_name(graph, TaskId{static_cast<std::int32_t>(t)});
    if (task.id != expected || task.device != graph.device[t]) {
      reject(fmt::format(
          "measurement of {}: expected task {} to be \"{}\" on device {}, got \"{}\" "
          "on device {}",
          measurement.strategy, t, expected, index(graph.device[t]), task.id, index(task.device)));
    }
    timeline.start.push_back(task.start);
    timeline.finish.push_back(task.finish);
  }
  return timeline;
}

}  // namespace foreplan
