#include "tools/link_fit.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

constexpr int kMostRanks = 1'000'000;
/// Between the sizes of series that can tell a constant from a bandwidth.
constexpr std::int64_t kSpan = 64;

CollectiveKind read_kind(const JsonValue& value) {
  const std::string text = value.text();
  if (text == "all_reduce") return CollectiveKind::all_reduce;
  if (text == "all_gather") return CollectiveKind::all_gather;
  if (text == "reduce_scatter") return CollectiveKind::reduce_scatter;
  value.expected("all_reduce, all_gather or reduce_scatter");
}

MeasuredCollective::Point read_point(const JsonValue& value) {
  const std::vector<JsonValue> pair = value.array();
  if (pair.size() != 2) value.expected("[bytes, seconds]");
  const Bytes size{pair[0].positive_integer()};
  const Duration time = read_seconds(pair[1]);
  if (time <= Duration::zero()) pair[1].expected("a time above 0");
  return {size, time};
}

std::string text_or(JsonObject& object, const char* key, const char* otherwise) {
  const auto value = object.optional(key);
  return value ? value->text() : std::string(otherwise);
}

MeasuredCollective read_series(JsonObject object) {
  MeasuredCollective series{.id = object.required("id").text(),
                            .source = object.required("source").text(),
                            .trust = object.required("trust").text(),
                            .device = text_or(object, "device", ""),
                            .fabric = text_or(object, "fabric", ""),
                            .kind = read_kind(object.required("operation"))};
  series.ranks = static_cast<int>(object.required("ranks").integer(2, kMostRanks));
  series.nodes = static_cast<int>(object.required("nodes").integer(1, series.ranks));
  if (const auto flag = object.optional("in_switch")) series.in_switch = flag->boolean();
  if (const auto sold = object.optional("sold_bytes_per_s"))
    series.sold = {sold->positive_number()};
  for (const JsonValue& point : object.required("points").array()) {
    series.points.push_back(read_point(point));
  }
  object.finish();
  return series;
}

void check_rate(JsonObject object) {
  for (const char* key : {"id", "source", "trust", "what"}) object.required(key).text();
  text_or(object, "device", "");
  object.required("bandwidth_bytes_per_s").positive_number();
  object.finish();
}

/// A measured point as a row of the system: t = o + steps alpha + bytes / B.
struct Row {
  double steps = 0, bytes = 0, time = 0;
};

Row row_of(const MeasuredCollective& series, const MeasuredCollective::Point& point) {
  const double n = series.ranks;
  const double passes = series.kind == CollectiveKind::all_reduce ? 2 : 1;
  const double share = series.in_switch ? 1 + 1 / n : passes * (n - 1) / n;
  return {passes * (n - 1), share * static_cast<double>(point.size.count), seconds(point.time)};
}

struct Line {
  double constant = 0, step = 0, per_byte = 0;
  double residual = 0, largest = 0;
};

Line solve(const std::vector<Row>& rows, bool constant, bool step) {
  const auto n = static_cast<Eigen::Index>(rows.size());
  Eigen::MatrixXd system(n, 1 + int{constant} + int{step});
  for (Eigen::Index i = 0; i < n; ++i) {
    const Row& row = rows[static_cast<std::size_t>(i)];
    system(i, 0) = row.bytes / row.time;
    if (constant) system(i, 1) = 1 / row.time;
    if (step) system(i, 1 + int{constant}) = row.steps / row.time;
  }
  // Columns differ by many orders of magnitude: scale them alike first.
  const Eigen::RowVectorXd scale = system.colwise().norm();
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(n);
  Eigen::VectorXd x =
      (system * scale.cwiseInverse().asDiagonal()).colPivHouseholderQr().solve(ones);
  const Eigen::VectorXd errors = system * scale.cwiseInverse().asDiagonal() * x - ones;
  x = x.cwiseQuotient(scale.transpose());
  return {.constant = constant ? x(1) : 0,
          .step = step ? x(1 + int{constant}) : 0,
          .per_byte = x(0),
          .residual = std::sqrt(errors.squaredNorm() / static_cast<double>(n)),
          .largest = errors.cwiseAbs().maxCoeff()};
}

Line nearest(const std::vector<Row>& rows, bool constant, bool step) {
  Line best = solve(rows, false, false);
  for (const auto& [o, alpha] :
       {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
    if ((o && !constant) || (alpha && !step)) continue;
    const Line line = solve(rows, o, alpha);
    const bool negative = line.constant < 0 || line.step < 0 || line.per_byte <= 0;
    if (!negative && line.residual < best.residual) best = line;
  }
  return best;
}

Duration duration(double seconds) { return Duration(std::llround(seconds * 1e12)); }

LinkFit fit(const std::vector<const MeasuredCollective*>& group) {
  const MeasuredCollective& first = *group.front();
  LinkFit result{.device = first.device,
                 .fabric = first.fabric,
                 .in_switch = first.in_switch,
                 .sold = first.sold};
  std::vector<Row> rows;
  std::set<std::pair<std::int64_t, int>> sizes;
  for (const MeasuredCollective* series : group) {
    result.series.push_back(series->id);
    for (const MeasuredCollective::Point& point : series->points) {
      rows.push_back(row_of(*series, point));
      sizes.emplace(point.size.count, series->ranks);
    }
  }
  result.has_constant = sizes.rbegin()->first >= kSpan * sizes.begin()->first;
  const auto alike = std::adjacent_find(
      sizes.begin(), sizes.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  const bool steps_vary = alike != sizes.end() && alike->first * kSpan <= sizes.rbegin()->first;
  result.has_step = result.has_constant && steps_vary && !first.in_switch && first.nodes == 1;
  const Line line = nearest(rows, result.has_constant, result.has_step);
  result.constant = duration(line.constant);
  result.step = duration(line.step);
  result.bandwidth = {1 / line.per_byte};
  result.points = static_cast<int>(rows.size());
  result.residual = line.residual;
  result.largest = line.largest;
  return result;
}

bool together(const MeasuredCollective& a, const MeasuredCollective& b) {
  return a.device == b.device && a.fabric == b.fabric && a.in_switch == b.in_switch &&
         (a.nodes > 1) == (b.nodes > 1);
}

}  // namespace

std::vector<MeasuredCollective> read_collectives(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("collectives");
  root.required("source").text();
  std::vector<MeasuredCollective> series;
  for (const JsonValue& value : root.required("series").array()) {
    series.push_back(read_series(value.object()));
    if (series.back().points.empty()) value.expected("at least one point");
  }
  if (const auto rates = root.optional("rates")) {
    for (const JsonValue& value : rates->array()) check_rate(value.object());
  }
  root.finish();
  return series;
}

std::vector<LinkFit> fit_links(const std::vector<MeasuredCollective>& series) {
  std::vector<std::vector<const MeasuredCollective*>> groups;
  for (const MeasuredCollective& one : series) {
    if (one.trust == "low" || one.device.empty()) continue;
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return together(*group.front(), one);
    });
    if (known == groups.end())
      groups.push_back({&one});
    else
      known->push_back(&one);
  }
  std::vector<LinkFit> fits;
  for (const auto& group : groups) fits.push_back(fit(group));
  return fits;
}

}  // namespace foreplan
