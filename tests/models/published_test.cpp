#include "models/published.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "sim/error.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const fs::path kRows = fs::path(FOREPLAN_SOURCE_DIR) / "models/published";

/// A row that is whole, with every kind of number that may be null told.
const std::string kRow = R"({"id": "a", "source": "s", "provenance": "read",
 "source_kind": "primary", "trust": "high",
 "model": {"kind": "gpt", "name": "GPT", "params": 2.5e9, "layers": 4, "hidden": 64, "heads": 4,
  "kv_heads": 4, "head_dim": 16, "ffn": 256, "gated_mlp": false, "vocab": 512, "seq": 128,
  "moe": {"experts": 8, "shared_experts": 0, "top_k": 2, "moe_ffn": 32}, "shape_source": null},
 "hardware": {"gpu": "A100", "gpu_memory_gb": null, "gpus_per_node": 8, "gpus": 16,
  "interconnect": null},
 "training": {"global_batch": 32, "micro_batch": null, "grad_accum": 2, "precision": "bf16",
  "optimizer": null},
 "parallel": {"tp": 2, "pp": 1, "dp": 8, "cp": null, "ep": null, "vpp": null, "sp": true,
  "zero_stage": 0, "fsdp_shard_size": 0, "recompute": null, "schedule": null},
 "measured": {"step_time_s": null, "tflops_per_gpu": null, "tflops_convention": null, "mfu": null,
  "hfu": null, "tokens_per_s_per_gpu": 12.5, "tokens_per_s": null, "samples_per_s": 0,
  "memory_gb": 10, "memory_kind": "GiB peak allocated"},
 "notes": null, "oom": false, "derived": {"step_time_s": 1.5}})";

class PublishedFile : public ::testing::Test {
 protected:
  PublishedFile()
      : path_(fs::path(::testing::TempDir()) /
              (std::string("foreplan_published_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json")) {}
  ~PublishedFile() override { fs::remove(path_); }

  std::vector<PublishedRow> read(const std::string& text) const {
    std::ofstream(path_) << text;
    return read_published(path_);
  }
  /// The row with `from`, which stands in it, replaced.
  static std::string with(const std::string& from, const std::string& to) {
    const std::size_t at = kRow.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return "[" + std::string(kRow).replace(at, from.size(), to) + "]";
  }
  std::string complaint(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      const std::string message = error.what();
      EXPECT_THAT(message, StartsWith(path_.string()));
      return message.substr(path_.string().size() + 2);
    }
    return "no complaint";
  }

  fs::path path_;
};

TEST_F(PublishedFile, IsReadAsItStands) {
  const PublishedRow row = read("[" + kRow + "]").at(0);
  EXPECT_EQ(row.id, "a");
  EXPECT_EQ(row.trust, Trust::high);
  EXPECT_FALSE(row.recalled);
  EXPECT_EQ(row.model.parameters, 2.5e9);
  EXPECT_EQ(row.model.head_features, 16);
  EXPECT_EQ(row.model.experts->top_k, 2);
  EXPECT_EQ(row.hardware.gpus_per_node, 8);
  EXPECT_EQ(row.training.accumulation, 2);
  EXPECT_EQ(row.parallel.sp, true);
  EXPECT_EQ(row.parallel.zero_stage, 0);
  EXPECT_EQ(row.measured.tokens_per_s_per_gpu, 12.5);
}

TEST_F(PublishedFile, LeavesWhatIsNullUnknown) {
  const PublishedRow row = read("[" + kRow + "]").at(0);
  EXPECT_FALSE(row.hardware.gpu_memory_gb.has_value());
  EXPECT_FALSE(row.training.micro_batch.has_value());
  EXPECT_FALSE(row.parallel.cp.has_value());
  EXPECT_FALSE(row.measured.mfu.has_value());
  EXPECT_TRUE(row.hardware.interconnect.empty());
  EXPECT_TRUE(row.training.optimizer.empty());
}

TEST_F(PublishedFile, TakesTheDerivedTimeWhereNoneWasMeasured) {
  EXPECT_EQ(read("[" + kRow + "]").at(0).step_time_s(), 1.5);
  EXPECT_EQ(read(with("\"step_time_s\": null", "\"step_time_s\": 2")).at(0).step_time_s(), 2);
}

TEST_F(PublishedFile, CountsMemoryAsItsKindSays) {
  EXPECT_EQ(read("[" + kRow + "]").at(0).measured_bytes(), std::int64_t{10} << 30);
  const std::string smi = with("GiB peak allocated", "nvidia-smi max (GB)");
  EXPECT_EQ(read(smi).at(0).measured_bytes(), std::int64_t{10} << 30);
  const std::string decimal = with("GiB peak allocated", "GB peak (as printed)");
  EXPECT_EQ(read(decimal).at(0).measured_bytes(), 10'000'000'000);
  const std::string none = with("\"memory_gb\": 10", "\"memory_gb\": null");
  EXPECT_FALSE(read(none).at(0).measured_bytes().has_value());
}

TEST_F(PublishedFile, TellsWhatANumberOfMemoryCounts) {
  const auto kind = [&](const char* text) {
    return read(with("GiB peak allocated", text)).at(0).memory_kind();
  };
  EXPECT_EQ(kind("GiB peak allocated (max over ranks)"), PublishedMemory::allocated);
  EXPECT_EQ(kind("GiB peak reserved, max over GPUs"), PublishedMemory::reserved);
  EXPECT_EQ(kind("nvidia-smi max (GB)"), PublishedMemory::device);
  EXPECT_EQ(kind("GB peak (as printed)"), PublishedMemory::allocated);
}

TEST_F(PublishedFile, RefusesUnknownKeysByPlace) {
  EXPECT_THAT(complaint(with("\"layers\": 4", "\"layers\": 4, \"depth\": 4")),
              StartsWith("/0/model/depth: expected one of"));
  EXPECT_THAT(complaint(with("\"oom\": false", "\"ooom\": false")), StartsWith("/0/ooom: "));
  EXPECT_THAT(complaint(with("\"moe_ffn\": 32", "\"moe_ffn\": 32, \"x\": 1")),
              StartsWith("/0/model/moe/x: "));
}

TEST_F(PublishedFile, RefusesMissingKeys) {
  EXPECT_THAT(complaint(with("\"layers\": 4, ", "")),
              StartsWith("/0/model: expected the key \"layers\""));
  EXPECT_THAT(complaint(with("\"trust\": \"high\",", "")), HasSubstr("\"trust\""));
}

TEST_F(PublishedFile, RefusesValuesOutOfRange) {
  EXPECT_THAT(complaint(with("\"layers\": 4", "\"layers\": 0")),
              StartsWith("/0/model/layers: expected an integer from 1"));
  EXPECT_THAT(complaint(with("\"gpus\": 16", "\"gpus\": 1.5")), StartsWith("/0/hardware/gpus: "));
  EXPECT_THAT(complaint(with("\"sp\": true", "\"sp\": 1")), StartsWith("/0/parallel/sp: "));
  EXPECT_THAT(complaint(with("\"step_time_s\": null", "\"step_time_s\": 0")),
              StartsWith("/0/measured/step_time_s: expected a positive number"));
  EXPECT_THAT(complaint(with("\"gpus_per_node\": 8", "\"gpus_per_node\": null")),
              StartsWith("/0/hardware/gpus_per_node: "));
  EXPECT_THAT(complaint(with("\"high\"", "\"great\"")),
              StartsWith("/0/trust: expected \"high\", \"medium\", \"low\" or \"analytic\""));
  EXPECT_THAT(complaint(with("\"read\"", "\"guessed\"")), StartsWith("/0/provenance: "));
  EXPECT_THAT(complaint(with("\"name\": \"GPT\"", "\"name\": \"\"")), StartsWith("/0/model/name"));
}

TEST_F(PublishedFile, RefusesAnIdTwiceAndWhatIsNoList) {
  EXPECT_THAT(complaint("[" + kRow + "," + kRow + "]"), StartsWith("/1: expected an id"));
  EXPECT_THAT(complaint(kRow), StartsWith("expected an array"));
}

bool is_table(const fs::path& path) {
  return path.stem() == "calibration" || path.stem() == "hardware" || path.stem() == "sources" ||
         path.stem() == "split";
}

// The collection's own table of contents: 2,012 rows in 22 files, of them 28 analytic (so 1,984
// measured) and 4 recalled.
TEST(ShippedRows, AreAllRead) {
  std::size_t files = 0, analytic = 0, recalled = 0;
  std::set<std::string> ids;
  for (const auto& entry : fs::directory_iterator(kRows)) {
    if (is_table(entry.path())) continue;
    ++files;
    for (const PublishedRow& row : read_published(entry.path())) {
      EXPECT_TRUE(ids.insert(row.id).second) << row.id;
      EXPECT_FALSE(row.source.empty()) << row.id;
      analytic += row.trust == Trust::analytic ? 1 : 0;
      recalled += row.recalled ? 1 : 0;
    }
  }
  EXPECT_EQ(files, 22U);
  EXPECT_EQ(ids.size(), 2012U);
  EXPECT_EQ(analytic, 28U);
  EXPECT_EQ(recalled, 4U);
}

// arXiv 2205.05198, table 5: the 22 B network with full recomputation takes 1.42 s.
TEST(ShippedRows, HoldWhatWasPublished) {
  const PublishedRow row = read_published(kRows / "korthikanti_2022.json").at(0);
  EXPECT_EQ(row.id, "korthikanti-22B-full");
  EXPECT_EQ(row.model.hidden, 6144);
  EXPECT_EQ(row.parallel.tp, 8);
  EXPECT_EQ(row.parallel.recompute, "full");
  EXPECT_EQ(row.step_time_s(), 1.42);
}

}  // namespace
}  // namespace foreplan
