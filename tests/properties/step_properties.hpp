#pragma once

#include <string>

#include "tests/properties/random_step.hpp"

namespace foreplan {

/// What came of asking for a step.
struct Verdict {
  std::string refusal;    ///< why it cannot be; empty: it was simulated
  std::string violation;  ///< what is wrong with the answer; empty: nothing
};

/// Asks for the step, folded, and holds the answer to what is true of every step:
///
///   - it is refused with one line, or estimated, and never anything else;
///   - the step takes time, no part of it less than none, and its parts add up; so does memory;
///   - no device computes faster than its peak (MFU <= 1), none computes less than the model (HFU >= MFU);
///   - asked again it answers the same;
///   - its tasks, replayed, take as long, and hold no more memory.
Verdict judge(const RandomStep& step);

}  // namespace foreplan
