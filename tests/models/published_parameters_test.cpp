// The networks of the zoo have as many parameters as their authors, or those who counted the published
// weights, say. Every number below was looked up where `source` says, not computed by foreplan.
#include <gtest/gtest.h>

#include <filesystem>

#include "models/model_io.hpp"

namespace foreplan {
namespace {

struct Published {
  const char* name;
  std::int64_t parameters;
  const char* source;
  bool encoder = false;  ///< without the heads of pre-training
};

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models" / "zoo" /
                    (name + ".json"));
}

constexpr const char* kKeras = "keras-team/keras-hub, presets of the family (\"params\")";
constexpr const char* kApi = "Hugging Face model API, safetensors.total";
constexpr const char* kSafetensors = "Hugging Face documentation of safetensors, metadata parsing";
constexpr const char* kLoaded = "sum of numel() of the model that transformers loads";
constexpr const char* kFoundry = "NumParams in mosaicml/llm-foundry, scripts/train/benchmarking";
constexpr const char* kTorchvision = "documentation of torchvision, num_params";
// Biderman et al., arXiv 2304.01373, table 1 has them without the two tables: + 2 * 50304 * 512 and so on
// (50432 for 6.9B, 50688 for 12B: padded to the ranks that trained it).
constexpr const char* kPythia = "table 1 of the paper, and both tables";

constexpr Published kPublished[] = {
    {"gpt2", 124'439'808, kKeras},
    {"gpt2-medium", 354'823'168, kKeras},
    {"gpt2-large", 774'030'080, kKeras},
    {"gpt2-xl", 1'557'611'200, kKeras},
    {"gpt-neo-2.7b", 2'651'307'520, kLoaded},
    {"gpt-neox-20b", 20'554'567'680, "model card"},
    {"pythia-70m", 18'915'328 + 2LL * 50304 * 512, kPythia},
    {"pythia-160m", 85'056'000 + 2LL * 50304 * 768, kPythia},
    {"pythia-410m", 302'311'424 + 2LL * 50304 * 1024, kPythia},
    {"pythia-1b", 805'736'448 + 2LL * 50304 * 2048, kPythia},
    {"pythia-1.4b", 1'208'602'624 + 2LL * 50304 * 2048, kPythia},
    {"pythia-2.8b", 2'517'652'480 + 2LL * 50304 * 2560, kPythia},
    {"pythia-6.9b", 6'444'163'072 + 2LL * 50432 * 4096, kPythia},
    {"pythia-12b", 11'327'027'200 + 2LL * 50688 * 5120, kPythia},
    {"gpt-j-6b", 6'050'882'784, kLoaded},
    {"opt-125m", 125'239'296, kLoaded},
    {"bloom-560m", 559'214'592, kSafetensors},
    {"bloom-1b1", 1'065'314'304, kKeras},
    {"bloom-3b", 3'002'557'440, kSafetensors},
    {"bloom-176b", 176'247'271'424, kSafetensors},
    {"mpt-125m", 125'311'488, kFoundry},
    {"mpt-350m", 355'985'408, kFoundry},
    {"mpt-760m", 760'470'528, kFoundry},
    {"mpt-1b", 1'315'950'592, kFoundry},
    {"mpt-3b", 2'651'837'440, kFoundry},
    {"mpt-7b", 6'658'859'008, kFoundry},
    {"mpt-30b", 29'975'214'080, kFoundry},
    {"falcon-rw-1b", 1'311'625'216, kKeras},
    {"llama-7b", 6'738'415'616, kKeras},
    {"llama-65b", 65'285'660'672, kLoaded},
    {"llama2-7b", 6'738'415'616, kKeras},
    {"llama2-13b", 13'015'864'320, kLoaded},
    {"llama2-34b", 33'743'970'304, kApi},
    // safetensors.total, 68,976,653,312, counts 80 buffers of 64 inverse frequencies as well.
    {"llama2-70b", 68'976'653'312 - 80 * 64, kApi},
    {"llama3-8b", 8'030'261'248, kApi},
    {"llama3-70b", 70'553'706'496, kApi},
    {"llama3.1-405b", 405'853'388'800, kApi},
    {"llama3.2-1b", 1'235'814'400, kApi},
    {"tinyllama-1.1b", 1'100'048'384, kApi},
    {"mistral-7b", 7'241'732'096, kApi},
    {"mixtral-8x7b", 46'702'792'704, kKeras},
    {"mixtral-8x22b", 140'620'634'112, kApi},
    {"qwen2-0.5b", 494'032'768, kLoaded},
    {"qwen2-7b", 7'615'616'512, kApi},
    {"qwen1.5-moe-a2.7b", 14'315'784'192, kKeras},
    {"qwen3-0.6b", 596'049'920, kLoaded},
    {"qwen3-8b", 8'190'735'360, kApi},
    {"qwen3-30b-a3b", 30'532'122'624, kApi},
    {"qwen3-235b-a22b", 235'093'634'560, kApi},
    {"gemma-2b", 2'506'172'416, kKeras},
    {"gemma-7b", 8'537'680'896, kKeras},
    {"gemma2-2b", 2'614'341'888, kLoaded},
    {"gemma2-9b", 9'241'705'984, kKeras},
    {"gemma2-27b", 27'227'128'320, kKeras},
    {"phi-1.5", 1'418'270'720, kApi},
    {"phi-2", 2'779'683'840, kApi},
    {"phi-3-mini", 3'821'079'552, kKeras},
    // Of the whole network, 401,583,781,376, less its vision encoder, adapter and projector.
    {"llama4-maverick", 401'583'781'376 - 871'932'416, kApi},
    {"deepseek-v2-lite", 15'706'484'224, kApi},
    {"deepseek-v2", 235'741'434'880, kApi},
    {"bert-base", 109'482'240, kLoaded, true},
    {"bert-large", 335'141'888, kLoaded, true},
    {"roberta-base", 124'697'433, kSafetensors},
    {"roberta-large", 355'412'057, kSafetensors},
    {"t5-small", 60'506'624, kKeras},
    {"t5-base", 222'903'552, kLoaded},
    {"t5-large", 737'668'096, "google-research/text-to-text-transfer-transformer, issue 326"},
    {"t5-3b", 2'851'598'336, kKeras},
    {"t5-11b", 11'307'321'344, kLoaded},
    {"flan-t5-base", 247'577'856, kKeras},
    {"vit-b-16", 86'567'656, kTorchvision},
    {"vit-b-32", 88'224'232, kTorchvision},
    {"vit-l-16", 304'326'632, kTorchvision},
    {"vit-h-14", 633'470'440, kTorchvision},
};

TEST(PublishedParameters, AreThoseOfTheZoo) {
  EXPECT_GE(std::size(kPublished), 30U);
  for (const Published& row : kPublished) {
    const OpGraph graph = zoo(row.name);
    const std::int64_t own =
        row.encoder ? graph.parameter_count_without_head() : graph.parameter_count();
    EXPECT_EQ(own, row.parameters) << row.name << ": " << row.source;
  }
}

// Where no source has all digits, the formula. The card says 671B.
// A layer's attention: down 7168 (1536 + 512 + 64), norms 1536 + 512, up 1536 * 128 * 192 and
// 512 * 128 * 256, output 128 * 128 * 7168; two norms of 7168. Three dense layers of 3 * 7168 * 18432; 58
// of 256 + 1 experts of 3 * 7168 * 2048 with a router. Two tables and a norm.
TEST(PublishedParameters, OfDeepseekV3FollowFromItsShape) {
  const std::int64_t h = 7168;
  const std::int64_t attention = h * (1536 + 512 + 64) + 1536 + 512 + 1536LL * 128 * 192 +
                                 512LL * 128 * 256 + 128LL * 128 * h + 2 * h;
  const std::int64_t dense = 3 * h * 18432;
  const std::int64_t experts = 257 * 3 * h * 2048 + 256 * h;
  const std::int64_t all = 61 * attention + 3 * dense + 58 * experts + 2 * 129280 * h + h;
  EXPECT_EQ(zoo("deepseek-v3").parameter_count(), all);
  EXPECT_EQ((all + 500'000'000) / 1'000'000'000, 671);
}

// NVIDIA/dgxc-benchmarking gives 15.6B. A layer: q and output 2 * 6144^2, k and v 2 * 6144 * 1024, MLP
// 2 * 6144 * 24576, two norms of gain and shift; two tables of 256000 rows; the last norm. Of 340B the
// same with heads of 18432 / 96 = 192.
TEST(PublishedParameters, OfNemotron4FollowFromItsShape) {
  const auto formula = [](std::int64_t layers, std::int64_t h, std::int64_t kv, std::int64_t ffn) {
    return layers * (2 * h * h + 2 * h * kv + 2 * h * ffn + 4 * h) + 2 * 256000 * h + 2 * h;
  };
  EXPECT_EQ(zoo("nemotron4-15b").parameter_count(), formula(32, 6144, 8 * 128, 24576));
  EXPECT_EQ(zoo("nemotron4-15b").parameter_count(), 15'628'775'424);
  EXPECT_EQ(zoo("nemotron4-340b").parameter_count(), formula(96, 18432, 8 * 192, 73728));
}

// xAI gives 314B, by hand 316B. A layer: q and output 2 * 6144^2, k and v 2 * 6144 * 1024, 8 experts of
// 3 * 6144 * 32768 with a router, four norms; one table of 131072 rows; the last norm.
TEST(PublishedParameters, OfGrok1FollowFromItsShape) {
  const std::int64_t h = 6144;
  const std::int64_t layer = 2 * h * h + 2 * h * 1024 + 8 * 3 * h * 32768 + 8 * h + 4 * h;
  EXPECT_EQ(64 * layer + 131072 * h + h, 315'684'820'992);
  EXPECT_EQ(zoo("grok-1").parameter_count(), 315'684'820'992);
}

// Zhang et al. give 175B. A layer: 12 h^2 + 13 h; tables of 50272 and 2050 rows; the last norm.
TEST(PublishedParameters, OfOpt175bFollowFromItsShape) {
  const std::int64_t h = 12288;
  EXPECT_EQ(zoo("opt-175b").parameter_count(),
            96 * (12 * h * h + 13 * h) + (50272 + 2050) * h + 2 * h);
}

// Narayanan et al., arXiv 2104.04473, table 1 and section 5, in billions with one decimal. Their formula,
// 12 l h^2 (1 + 13 / (12 h) + (V + s) / (12 l h)), leaves the last norm out, which no decimal shows.
TEST(PublishedParameters, OfMegatronRoundToThoseOfItsTable) {
  for (const auto& [name, tenths] : {std::pair{"megatron-1.7b", 17},
                                     {"megatron-3.6b", 36},
                                     {"megatron-7.5b", 75},
                                     {"megatron-18.4b", 184},
                                     {"megatron-39.1b", 391},
                                     {"megatron-76.1b", 761},
                                     {"megatron-145.6b", 1456},
                                     {"megatron-310.1b", 3101},
                                     {"megatron-290.8b", 2908},
                                     {"megatron-175b", 1746},
                                     {"megatron-530b", 5296},
                                     {"megatron-1t", 10080}}) {
    EXPECT_EQ((zoo(name).parameter_count() + 50'000'000) / 100'000'000, tenths) << name;
  }
}

}  // namespace
}  // namespace foreplan
