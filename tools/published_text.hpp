#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tools/published_summary.hpp"

namespace foreplan {

/// rows[], skipped[], summary[]; what is not known is null.
nlohmann::ordered_json published_json(const PublishedRecord& record, SplitPart part);

/// The summary by source, and why rows were skipped.
std::string published_text(const PublishedRecord& record, SplitPart part);

/// The same tables and the ten worst rows, as docs/accuracy.md has them.
std::string published_markdown(const PublishedRecord& record, SplitPart part);

}  // namespace foreplan
