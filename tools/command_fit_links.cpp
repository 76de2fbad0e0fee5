#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/json_text.hpp"
#include "tools/commands.hpp"
#include "tools/link_fit.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

std::string microseconds(Duration duration, bool known) {
  return known ? fmt::format("{:.1f}", seconds(duration) * 1e6) : std::string();
}

Bandwidth sold(const LinkFit& fit) {
  return fit.sold.bytes_per_s > 0 ? fit.sold : load_device(fit.device).link_bandwidth;
}

double efficiency(const LinkFit& fit) { return fit.bandwidth.bytes_per_s / sold(fit).bytes_per_s; }

std::string text(const std::vector<LinkFit>& fits) {
  TextTable table({"device", "fabric", "way", "series", "points", "constant us", "step us", "GB/s",
                   "of sold", "rms %", "largest %"});
  for (const LinkFit& fit : fits) {
    table.add({fit.device, fit.fabric.empty() ? "switch of the node" : fit.fabric,
               fit.in_switch ? "switch adds up" : "ring", fmt::format("{}", fit.series.size()),
               fmt::format("{}", fit.points), microseconds(fit.constant, fit.has_constant),
               microseconds(fit.step, fit.has_step),
               fmt::format("{:.1f}", fit.bandwidth.bytes_per_s / 1e9),
               fmt::format("{:.3f}", efficiency(fit)), fmt::format("{:.1f}", 100 * fit.residual),
               fmt::format("{:.1f}", 100 * fit.largest)});
  }
  return table.text();
}

Json json(const std::vector<LinkFit>& fits) {
  Json rows = Json::array();
  for (const LinkFit& fit : fits) {
    Json row{{"device", fit.device}, {"fabric", fit.fabric}, {"in_switch", fit.in_switch}};
    row["constant_s"] = fit.has_constant ? Json(json_seconds(fit.constant)) : Json(nullptr);
    row["step_s"] = fit.has_step ? Json(json_seconds(fit.step)) : Json(nullptr);
    row["bandwidth_bytes_per_s"] = fit.bandwidth.bytes_per_s;
    row["efficiency"] = efficiency(fit);
    row["fitted_on"] = fit.series;
    row["points"] = fit.points;
    row["residual"] = fit.residual;
    row["largest_error"] = fit.largest;
    rows.push_back(std::move(row));
  }
  return {{"fits", std::move(rows)}};
}

}  // namespace

void run_fit_links(const FitLinksCommand& command, std::ostream& out) {
  const std::filesystem::path file = command.file.empty() ? shipped_files() / "collectives.json"
                                                          : std::filesystem::path(command.file);
  const std::vector<LinkFit> fits = fit_links(read_collectives(file));
  out << (command.json ? json(fits).dump(2) + "\n" : text(fits));
}

}  // namespace foreplan
