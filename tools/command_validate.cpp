#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/measurement_io.hpp"
#include "sim/profile_io.hpp"
#include "sim/timeline_io.hpp"
#include "tools/backends.hpp"
#include "tools/commands.hpp"
#include "tools/machine.hpp"
#include "tools/outputs.hpp"
#include "tools/progress.hpp"
#include "tools/text_table.hpp"
#include "tools/validation.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kHostDevices = 2;
constexpr int kLogicalDevices = 4;

Json row_json(const ValidationRow& row) {
  return {{"id", row.id},
          {"source", row.source},
          {"strategy", format(row.strategy)},
          {"forecast_s", seconds(row.forecast.step_time)},
          {"measured_s", seconds(row.measured.mean)},
          {"error", row.error()},
          {"forecast_bytes", row.forecast.peak_memory.count},
          {"measured_bytes", row.measured_bytes.count},
          {"measured_median_s", seconds(row.measured.median)},
          {"samples", row.measured.samples},
          {"disturbed", row.measured.disturbed}};
}

Json summary_json(const ValidationSummary& summary) {
  return {{"source", summary.source}, {"rows", summary.rows}, {"mape", summary.mape},
          {"max", summary.max},       {"bias", summary.bias}, {"spearman", summary.spearman},
          {"regret", summary.regret}};
}

Json to_json(const Validation& validation) {
  Json json{{"rows", Json::array()}, {"skipped", Json::array()}, {"summary", Json::array()}};
  for (const ValidationRow& row : validation.rows) json["rows"].push_back(row_json(row));
  for (const SkippedRow& row : validation.skipped) {
    json["skipped"].push_back({{"id", row.id}, {"reason", row.reason}});
  }
  for (const ValidationSummary& summary : validation.summary) {
    json["summary"].push_back(summary_json(summary));
  }
  return json;
}

std::string percent(double ratio) { return fmt::format("{:+.1f}", 100 * ratio); }

void print_table(const Validation& validation, std::ostream& out) {
  TextTable rows({"network", "strategy", "on", "forecast", "measured", "error %", "memory forecast",
                  "measured", "steps", "disturbed"});
  for (const ValidationRow& row : validation.rows) {
    rows.add({row.workload.model, format(row.strategy), row.source, format(row.forecast.step_time),
              format(row.measured.mean), percent(row.error()), format(row.forecast.peak_memory),
              format(row.measured_bytes), fmt::format("{}", row.measured.samples),
              fmt::format("{}", row.measured.disturbed)});
  }
  out << rows.text() << "\n";
  for (const SkippedRow& row : validation.skipped) {
    out << fmt::format("skipped {}: {}\n", row.id, row.reason);
  }
  TextTable summary({"rows of", "rows", "mean |error| %", "largest", "bias", "rank correlation",
                     "chosen over fastest %"});
  for (const ValidationSummary& s : validation.summary) {
    summary.add({s.source, fmt::format("{}", s.rows), fmt::format("{:.1f}", 100 * s.mape),
                 fmt::format("{:.1f}", 100 * s.max), percent(s.bias),
                 fmt::format("{:.2f}", s.spearman), percent(s.regret)});
  }
  out << summary.text()
      << "\nerror: forecast over measured step time, means, minus 1. chosen over fastest: measured "
         "time of the\nstrategy that is forecast fastest over that of the fastest measured, minus "
         "1.\n";
}

std::string file_name(std::string id) {
  for (char& c : id) {
    if (c == ' ' || c == ',' || c == '=') c = '-';
  }
  return id;
}

Measurement timeline_file(const ValidationRow& row, const char* backend, const Sample& step,
                          const Timeline& timeline) {
  return {.model = row.workload.model,
          .strategy = format(row.strategy),
          .backend = backend,
          .device = row.source,
          .global_batch = row.workload.global_batch,
          .steps = step.samples,
          .step_time = step,
          .tasks = measured_tasks(row.graph, timeline),
          .losses = {}};
}

/// The profile, the table, and for each row both timelines and a trace with both.
void write_folder(const Validation& validation, const fs::path& folder) {
  write_file(folder / "profile.json", to_json(validation.profile));
  write_file(folder / "validation.json", to_json(validation).dump(2) + "\n");
  for (const ValidationRow& row : validation.rows) {
    const std::string name = file_name(row.id);
    const Sample forecast = summarise({row.forecast.step_time}, 0);
    write_file(folder / (name + ".forecast.json"),
               to_json(timeline_file(row, "forecast", forecast, row.forecast_timeline)));
    write_file(folder / (name + ".measured.json"),
               to_json(timeline_file(row, validation.profile.device.backend.c_str(), row.measured,
                                     row.measured_timeline)));
    write_file(folder / (name + ".trace.json"),
               to_trace(row.graph, row.forecast_timeline, row.measured_timeline));
  }
}

}  // namespace

void run_validate(const ValidateCommand& command, std::ostream& out) {
  check_backend(command.backend);
  if (command.backend == "host" && command.devices > kHostDevices) {
    reject(fmt::format("--devices: expected at most {} with --backend host, got {}", kHostDevices,
                       command.devices));
  }
  make_folder(command.output);
  Progress progress("measuring rounds");
  const int usual = command.backend == "host" ? kHostDevices : kLogicalDevices;
  const std::unique_ptr<Machine> machine =
      machine_named(command.backend, command.devices > 0 ? command.devices : usual);
  const Validation validation = validate(
      *machine, {.rounds = command.rounds, .progress = [&](std::int64_t done, std::int64_t all) {
                   progress.tell(done, all);
                 }});
  if (!command.output.empty()) write_folder(validation, command.output);
  if (command.json) {
    out << to_json(validation).dump(2) << "\n";
  } else {
    print_table(validation, out);
  }
}

}  // namespace foreplan
