#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/cluster_json.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "tools/calibrate.hpp"
#include "tools/commands.hpp"
#include "tools/outputs.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Three digits: more than a fit on measurements knows.
double rounded(double value) { return std::stod(fmt::format("{:.3g}", value)); }

std::string fitted_on(const CalibratedFamily& found, const std::string& date) {
  return fmt::format(
      "foreplan calibrate{}: {} fit rows of {} ({}); mean |error| {:.1f} %, rms of the logarithm "
      "{:.3f}",
      date.empty() ? "" : ", " + date, found.rows, found.family->name, found.sources,
      100 * found.mape, found.rms_log);
}

Duration rounded(Duration time) { return duration_from_seconds(rounded(seconds(time))); }

/// What was found, as far as it is known, for a device of the family.
KernelFacts rounded(const CalibratedFamily& found, const DeviceSpec& device,
                    const std::string& date) {
  KernelFacts k = found.kernels;
  k.matrix_efficiency.clear();
  for (const auto& [type, share] : found.kernels.matrix_efficiency) {
    if (device.peak.contains(type)) k.matrix_efficiency[type] = rounded(share);
  }
  k.l2_bandwidth = {rounded(k.l2_bandwidth.bytes_per_s)};
  k.misaligned_efficiency = rounded(k.misaligned_efficiency);
  k.tile_overhead = rounded(k.tile_overhead);
  k.attention_forward_efficiency = rounded(k.attention_forward_efficiency);
  k.attention_backward_efficiency = rounded(k.attention_backward_efficiency);
  k.memory_efficiency = rounded(k.memory_efficiency);
  k.memory_ramp = rounded(k.memory_ramp);
  k.product_power = rounded(k.product_power);
  k.power_w = load_device(found.family->devices.front()).power_w;
  k.fitted_on = fitted_on(found, date);
  return k;
}

Json read_json(const fs::path& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

/// The shipped file with `key` set.
void write_with(const fs::path& folder, const char* kind, const std::string& name,
                const std::string& key, Json value) {
  Json document = read_json(find_resource(kind, name));
  document[key] = std::move(value);
  make_folder(folder / kind);
  write_file(folder / kind / (name + ".json"), document.dump(2) + "\n");
}

void write_family(const CalibratedFamily& found, const CalibrateCommand& command) {
  const CalibrationFamily& family = *found.family;
  std::vector<std::string> devices = family.devices;
  devices.insert(devices.end(), family.heirs.begin(), family.heirs.end());
  for (const std::string& name : devices) {
    const DeviceSpec device = load_device(name);
    write_with(command.output, "devices", name, "kernels",
               kernels_json(rounded(found, device, command.date)));
  }
  for (std::size_t i = 0; i < family.launches.size(); ++i) {
    std::vector<std::string> stacks{family.launches[i].name};
    const auto heirs = family.host_heirs.find(stacks.front());
    if (heirs != family.host_heirs.end()) {
      stacks.insert(stacks.end(), heirs->second.begin(), heirs->second.end());
    }
    for (const std::string& name : stacks) {
      write_with(command.output, "stacks", name, "host_launch_s", rounded(found.launches[i]));
    }
  }
}

void print(const CalibratedFamily& found, std::ostream& out) {
  const CalibrationFamily& family = *found.family;
  out << fmt::format("{}: {} rows ({}), mean |error| {:.1f} %, rms of the logarithm {:.3f}\n",
                     family.name, found.rows, found.sources, 100 * found.mape, found.rms_log);
  const Json json = kernels_json(rounded(found, load_device(family.devices.front()), ""));
  for (const auto& [key, value] : json.items()) {
    if (key != "fitted_on") out << fmt::format("  {:32} {}\n", key, value.dump());
  }
  for (std::size_t i = 0; i < family.launches.size(); ++i) {
    out << fmt::format("  host_launch_s of {:15} {:.3g}\n", family.launches[i].name,
                       found.launches[i]);
  }
}

Json family_json(const CalibratedFamily& found, const std::string& date) {
  const CalibrationFamily& family = *found.family;
  Json launches = Json::object();
  for (std::size_t i = 0; i < family.launches.size(); ++i) {
    launches[family.launches[i].name] = rounded(found.launches[i]);
  }
  return {{"name", family.name},
          {"devices", family.devices},
          {"heirs", family.heirs},
          {"rows", found.rows},
          {"sources", found.sources},
          {"mape", found.mape},
          {"rms_log", found.rms_log},
          {"kernels", kernels_json(rounded(found, load_device(family.devices.front()), date))},
          {"host_launch_s", std::move(launches)}};
}

/// Those that the command asks for.
/// @throws Error(invalid_argument) if there is none of that name
std::vector<CalibrationFamily> asked(std::vector<CalibrationFamily> families,
                                     const std::string& name) {
  if (name.empty()) return families;
  std::vector<std::string> names;
  for (CalibrationFamily& family : families) {
    if (family.name == name) return {std::move(family)};
    names.push_back(family.name);
  }
  reject(fmt::format("--family: expected one of {}, got '{}'", fmt::join(names, ", "), name));
}

}  // namespace

void run_calibrate(const CalibrateCommand& command, std::ostream& out) {
  const fs::path shipped = shipped_files() / "published";
  const std::vector<CalibrationFamily> families =
      asked(read_calibration(shipped / "calibration.json"), command.family);
  const std::unique_ptr<CostModel> costs = load_costs("");
  Json document;
  document["families"] = Json::array();
  for (const CalibrationFamily& family : families) {
    PublishedForecaster forecaster(shipped, *costs);
    const CalibratedFamily found = calibrate(family, shipped, forecaster);
    if (command.json) {
      document["families"].push_back(family_json(found, command.date));
    } else {
      print(found, out);
    }
    if (!command.output.empty()) write_family(found, command);
  }
  if (command.json) out << document.dump(2) << "\n";
}

}  // namespace foreplan
