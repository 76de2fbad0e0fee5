#include <memory>

#include "sim/profile.hpp"
#include "sim/profile_io.hpp"
#include "sim/roofline.hpp"
#include "tools/commands.hpp"

namespace foreplan {

std::unique_ptr<CostModel> load_costs(const std::string& profile) {
  if (profile.empty()) return std::make_unique<RooflineModel>();
  return std::make_unique<ProfileModel>(read_profile(profile));
}

}  // namespace foreplan
