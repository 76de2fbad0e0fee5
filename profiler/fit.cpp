#include "profiler/fit.hpp"

#include <fmt/format.h>

#include <Eigen/QR>
#include <cmath>
#include <map>
#include <utility>

namespace foreplan {
namespace {

bool is_product(const OpKey& key) { return key.op == "linear" || key.op == "matmul"; }

std::vector<FitPoint> usable(const std::vector<FitPoint>& points) {
  std::vector<FitPoint> kept;
  for (const FitPoint& point : points) {
    if (point.work > 0 && point.time > Duration::zero()) kept.push_back(point);
  }
  return kept;
}

/// Least squares of relative error; the rows of the system are scaled by 1 / t_i.
std::pair<double, double> solve(const std::vector<FitPoint>& points, bool through_origin) {
  const auto n = static_cast<Eigen::Index>(points.size());
  Eigen::MatrixXd system(n, through_origin ? 1 : 2);
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const FitPoint& point = points[static_cast<std::size_t>(i)];
    const double time = seconds(point.time);
    system(i, 0) = point.work / time;
    if (!through_origin) system(i, 1) = 1 / time;
  }
  // Columns of FLOPs and of 1/s differ by many orders of magnitude: scale them alike first.
  const Eigen::RowVectorXd scale = system.colwise().norm();
  const Eigen::VectorXd solution =
      (system * scale.cwiseInverse().asDiagonal()).colPivHouseholderQr().solve(ones);
  return {solution(0) / scale(0), through_origin ? 0 : solution(1) / scale(1)};
}

double residual(const std::vector<FitPoint>& points, double slope, double overhead) {
  double sum = 0;
  for (const FitPoint& point : points) {
    const double error = (overhead + slope * point.work) / seconds(point.time) - 1;
    sum += error * error;
  }
  return std::sqrt(sum / static_cast<double>(points.size()));
}

/// The largest whole measurement under each name, and where it came from.
class FitGroups {
 public:
  void add(const std::string& what, const std::string& variable, FitPoint point) {
    auto& [over, points] = groups_[what];
    over = variable;
    points.push_back(point);
  }

  std::vector<LineFit> fits() const {
    std::vector<LineFit> fits;
    for (const auto& [what, group] : groups_) {
      LineFit fit = fit_line(group.second);
      if (fit.points == 0) continue;
      fit.what = what;
      fit.variable = group.first;
      fit.fitted_on = fmt::format("{} entries of this profile", fit.points);
      fits.push_back(std::move(fit));
    }
    return fits;
  }

 private:
  std::map<std::string, std::pair<std::string, std::vector<FitPoint>>> groups_;
};

}  // namespace

LineFit fit_line(const std::vector<FitPoint>& all) {
  const std::vector<FitPoint> points = usable(all);
  LineFit fit;
  fit.points = static_cast<std::int64_t>(points.size());
  if (points.empty()) return fit;
  auto [slope, overhead] = solve(points, points.size() == 1);
  if (overhead < 0 || slope <= 0) std::tie(slope, overhead) = solve(points, true);
  fit.overhead = duration_from_seconds(overhead);
  fit.per_s = 1 / slope;
  fit.residual = residual(points, slope, overhead);
  return fit;
}

std::vector<LineFit> fit_profile(const Profile& profile) {
  FitGroups groups;
  for (const ProfiledOp& op : profile.ops) {
    const bool product = is_product(op.key);
    const std::string variable = product ? "flops" : "bytes";
    const FitPoint point{product ? op.flops.count : static_cast<double>(op.traffic.count),
                         op.time.mean};
    const std::string dtype(name(op.key.dtype));
    groups.add(fmt::format("{}.{} {}{}", op.key.op, name(op.key.pass), dtype,
                           op.key.accumulate ? " +=" : ""),
               variable, point);
    groups.add(fmt::format("{} {}", variable, dtype), variable, point);
  }
  for (const ProfiledCopy& copy : profile.copies) {
    groups.add("copy", "bytes", {static_cast<double>(copy.bytes.count), copy.time.mean});
  }
  return groups.fits();
}

}  // namespace foreplan
