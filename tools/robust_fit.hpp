#pragma once

#include <functional>
#include <string>
#include <vector>

namespace foreplan {

/// A positive constant that is fitted, and what is known of it beforehand.
struct FittedConstant {
  std::string name;
  double start = 1;   ///< the likeliest value beforehand
  double spread = 1;  ///< standard deviation of its logarithm, beforehand
  double least = 0, most = 0;
};

struct RobustFit {
  std::vector<double> constants;
  std::vector<double> residuals;  ///< at the constants
  double rms = 0;                 ///< of the residuals
  int rounds = 0;
};

/// Residuals, e.g. log(forecast / measured), for values of the constants.
using Residuals = std::function<std::vector<double>(const std::vector<double>& constants)>;

/// Robust least squares with what is known beforehand:
///
///   least  sum_i w_i huber(r_i(c)) + sum_j (log(c_j / start_j) / spread_j)^2 (strength)
///
/// by Levenberg and Marquardt in the logarithms of the constants, derivatives by differences, each round's
/// weights as Huber's: 1 within `knee`, knee / |r| beyond.
/// @throws Error(invalid_argument) if there is no residual or a start lies outside of its bounds
/// Source: Huber, Ann. Math. Statist. 35(1), 1964; Marquardt, J. SIAM 11(2), 1963.
RobustFit robust_fit(const std::vector<FittedConstant>& constants, const Residuals& residuals,
                     const std::vector<double>& weights, double knee = 0.1, double strength = 0.01);

}  // namespace foreplan
