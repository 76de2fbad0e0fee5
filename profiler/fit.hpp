#pragma once

#include <string>
#include <vector>

#include "sim/profile.hpp"

namespace foreplan {

/// One measured point of a line: `work` (FLOPs or bytes) took `time`.
struct FitPoint {
  double work = 0;
  Duration time{};
};

/// The line t = overhead + work / rate that is nearest to the points in relative error.
///
///   minimise sum_i ((o + r w_i - t_i) / t_i)^2 over o >= 0, r > 0
///
/// by least squares (Eigen, column-pivoted QR); where the overhead comes out negative, or there is one
/// point only, the line goes through the origin. Points without time or work are left out.
/// @return  `what`, `variable` and `fitted_on` empty; per_s = 1 / r; residual as LineFit tells it.
///   Without points: per_s 0, points 0
LineFit fit_line(const std::vector<FitPoint>& points);

/// The fits of a profile: a line for each op, pass and dtype ("linear.forward fp32"; with " +=" for
/// those that accumulate), over flops for matrix products and over bytes for all others; a line over
/// all products ("flops fp32") and one over all others ("bytes fp32"); one over all copies ("copy").
std::vector<LineFit> fit_profile(const Profile& profile);

}  // namespace foreplan
