#pragma once

#include <cstddef>

namespace foreplan::emulation {

/// What a test may set of the emulated CUPTI.
struct CuptiSettings {
  bool held_by_another = false;
  bool forbidden = false;
  std::size_t dropped = 0;                            ///< told once, with the next buffer
  std::size_t buffer_bytes = std::size_t{8} << 20;    ///< of a buffer, this much is used
};
CuptiSettings& cupti_settings();

}  // namespace foreplan::emulation
