#pragma once

#include <vector>

namespace foreplan {

/// Spearman's rank correlation of two lists of equal length: Pearson's of their ranks, equals sharing the mean
/// of their places; 0 where there is nothing to correlate.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace foreplan
