#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/error.hpp"
#include "tools/commands.hpp"
#include "tools/published_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

SplitPart part_named(const std::string& text) {
  if (text == "fit") return SplitPart::fit;
  if (text == "test") return SplitPart::test;
  if (text == "all") return SplitPart::all;
  reject("--split: expected fit, test or all, got '" + text + "'");
}

}  // namespace

void run_published(const PublishedCommand& command, std::ostream& out) {
  const SplitPart part = part_named(command.split);
  const std::unique_ptr<CostModel> costs = load_costs("");
  const std::filesystem::path shipped = shipped_files() / "published";
  PublishedForecaster forecaster(shipped, *costs);
  const std::filesystem::path folder =
      command.folder.empty() ? shipped : std::filesystem::path(command.folder);
  const PublishedRecord record = forecast_published(folder, forecaster);
  if (command.json) {
    out << published_json(record, part).dump(2) << "\n";
  } else {
    out << (command.markdown ? published_markdown(record, part) : published_text(record, part));
  }
}

}  // namespace foreplan
