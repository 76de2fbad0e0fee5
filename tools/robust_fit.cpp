#include "tools/robust_fit.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr int kMostRounds = 40;
constexpr double kStep = 0.01;       ///< of a logarithm, for derivatives
constexpr double kSmallGain = 1e-5;  ///< of the sum that a round must at least win
constexpr double kMostDamping = 1e6;

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

class Fit {
 public:
  Fit(const std::vector<FittedConstant>& constants, const Residuals& residuals,
      const std::vector<double>& weights, double knee, double strength)
      : constants_(constants),
        function_(residuals),
        weights_(weights),
        knee_(knee),
        strength_(strength) {}

  RobustFit run() {
    Vector at(size());
    for (Eigen::Index j = 0; j < size(); ++j) at[j] = std::log(constant(j).start);
    Vector residuals = values(at);
    if (residuals.size() == 0) reject("calibrate: no row to fit on");
    double loss = total(residuals, at), damping = 1e-3;
    RobustFit result;
    for (; result.rounds < kMostRounds && damping < kMostDamping; ++result.rounds) {
      const Matrix slopes = derivatives(at, residuals);
      const double before = loss;
      while (damping < kMostDamping) {
        const Vector next = bounded(at + step(slopes, residuals, at, damping));
        const Vector there = values(next);
        const double found = total(there, next);
        if (found < loss) {
          at = next, residuals = there, loss = found, damping = std::max(1e-6, damping / 5);
          break;
        }
        damping *= 5;
      }
      if (before - loss < kSmallGain * before) break;
    }
    for (Eigen::Index j = 0; j < size(); ++j) result.constants.push_back(std::exp(at[j]));
    result.residuals.assign(residuals.begin(), residuals.end());
    result.rms = std::sqrt(residuals.squaredNorm() / static_cast<double>(residuals.size()));
    return result;
  }

 private:
  Eigen::Index size() const { return static_cast<Eigen::Index>(constants_.size()); }
  double weight(Eigen::Index i) const { return weights_[static_cast<std::size_t>(i)]; }
  const FittedConstant& constant(Eigen::Index j) const {
    return constants_[static_cast<std::size_t>(j)];
  }

  Vector values(const Vector& at) const {
    std::vector<double> constants;
    for (const double x : at) constants.push_back(std::exp(x));
    const std::vector<double> residuals = function_(constants);
    return Eigen::Map<const Vector>(residuals.data(), static_cast<Eigen::Index>(residuals.size()));
  }

  double prior(Eigen::Index j, double at) const {
    return std::sqrt(strength_) * (at - std::log(constant(j).start)) / constant(j).spread;
  }

  double total(const Vector& residuals, const Vector& at) const {
    double sum = 0;
    for (Eigen::Index i = 0; i < residuals.size(); ++i) {
      const double size = std::abs(residuals[i]);
      sum += weight(i) * (size <= knee_ ? size * size : knee_ * (2 * size - knee_));
    }
    for (Eigen::Index j = 0; j < size(); ++j) sum += std::pow(prior(j, at[j]), 2);
    return sum;
  }

  Matrix derivatives(const Vector& at, const Vector& residuals) const {
    Matrix slopes(residuals.size(), size());
    for (Eigen::Index j = 0; j < size(); ++j) {
      // Inwards where the bound is near.
      const double step = at[j] + kStep > std::log(constant(j).most) ? -kStep : kStep;
      Vector moved = at;
      moved[j] += step;
      slopes.col(j) = (values(moved) - residuals) / step;
    }
    return slopes;
  }

  Vector step(const Matrix& slopes, const Vector& residuals, const Vector& at,
              double damping) const {
    Vector weights(residuals.size());
    for (Eigen::Index i = 0; i < residuals.size(); ++i) {
      const double size = std::abs(residuals[i]);
      weights[i] = weight(i) * (size <= knee_ ? 1 : knee_ / size);
    }
    Matrix system = slopes.transpose() * weights.asDiagonal() * slopes;
    Vector right = -slopes.transpose() * weights.asDiagonal() * residuals;
    for (Eigen::Index j = 0; j < size(); ++j) {
      const double root = std::sqrt(strength_) / constant(j).spread;
      system(j, j) += root * root;
      right[j] -= root * prior(j, at[j]);
    }
    system.diagonal() *= 1 + damping;
    return system.ldlt().solve(right);
  }

  Vector bounded(Vector at) const {
    for (Eigen::Index j = 0; j < size(); ++j) {
      at[j] = std::clamp(at[j], std::log(constant(j).least), std::log(constant(j).most));
    }
    return at;
  }

  const std::vector<FittedConstant>& constants_;
  const Residuals& function_;
  const std::vector<double>& weights_;
  double knee_, strength_;
};

}  // namespace

RobustFit robust_fit(const std::vector<FittedConstant>& constants, const Residuals& residuals,
                     const std::vector<double>& weights, double knee, double strength) {
  for (const FittedConstant& c : constants) {
    if (c.least > 0 && c.start >= c.least && c.start <= c.most && c.spread > 0) continue;
    reject("calibrate: '" + c.name + "' starts outside of its bounds");
  }
  return Fit(constants, residuals, weights, knee, strength).run();
}

}  // namespace foreplan
