#include "models/huggingface.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/model_io.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// Of each family, a network of its public shape that the zoo has.
const std::vector<std::pair<std::string, std::string>> kFamilies = {
    {"bert", "bert-large"},
    {"bloom", "bloom-176b"},
    {"deepseek_v2", "deepseek-v2"},
    {"deepseek_v3", "deepseek-v3"},
    {"falcon", "falcon-7b"},
    {"gemma", "gemma-7b"},
    {"gemma2", "gemma2-9b"},
    {"gpt2", "gpt2"},
    {"gpt_neo", "gpt-neo-2.7b"},
    {"gpt_neox", "gpt-neox-20b"},
    {"gptj", "gpt-j-6b"},
    {"grok-1", "grok-1"},
    {"llama", "llama3-8b"},
    {"llama4_text", "llama4-maverick"},
    {"mistral", "mistral-7b"},
    {"mixtral", "mixtral-8x7b"},
    {"mpt", "mpt-7b"},
    {"nemotron", "nemotron4-15b"},
    {"opt", "opt-125m"},
    {"phi", "phi-2"},
    {"phi3", "phi-3-mini"},
    {"qwen2", "qwen2-7b"},
    {"qwen2_moe", "qwen1.5-moe-a2.7b"},
    {"qwen3", "qwen3-8b"},
    {"qwen3_moe", "qwen3-30b-a3b"},
    {"roberta", "roberta-large"},
    {"t5", "t5-base"},
    {"vit", "vit-l-16"},
};

Json config_of(const std::string& network) {
  std::ifstream stream(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models" / "zoo" /
                       (network + ".json"));
  return Json::parse(stream)["huggingface"];
}

OpGraph zoo(const std::string& network) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models" / "zoo" /
                    (network + ".json"));
}

OpGraph graph_of(const Json& config) {
  const std::string text = config.dump();
  const JsonDocument document = JsonDocument::parse(text, "config.json");
  return huggingface_graph(document.value().object(), "m");
}

TransformerShape shape_of_config(const Json& config) {
  const std::string text = config.dump();
  const JsonDocument document = JsonDocument::parse(text, "config.json");
  return huggingface_shape(document.value().object(), "m");
}

std::string complaint(const Json& config) {
  try {
    graph_of(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "no complaint";
}

TEST(Huggingface, KnowsItsFamiliesInOrder) {
  std::vector<std::string_view> expected;
  for (const auto& [family, network] : kFamilies) expected.push_back(family);
  EXPECT_EQ(huggingface_model_types(), expected);
  EXPECT_TRUE(huggingface_keys("gpt5").empty());
  EXPECT_THAT(huggingface_keys("gpt2"),
              ElementsAre("n_embd or hidden_size", "n_layer or num_hidden_layers",
                          "n_head or num_attention_heads", "vocab_size"));
}

TEST(Huggingface, ReadsEachFamilyFromAConfigOfItsPublicShape) {
  for (const auto& [family, network] : kFamilies) {
    const Json config = config_of(network);
    EXPECT_EQ(config["model_type"], family);
    EXPECT_EQ(graph_of(config).parameter_count(), zoo(network).parameter_count()) << family;
  }
}

TEST(Huggingface, PassesOverKeysThatItDoesNotRead) {
  for (const auto& [family, network] : kFamilies) {
    Json config = config_of(network);
    config["torch_dtype"] = "bfloat16";
    config["an_unheard_of_key"] = {1, 2, 3};
    EXPECT_EQ(graph_of(config).parameter_count(), graph_of(config_of(network)).parameter_count())
        << family;
  }
}

TEST(Huggingface, TellsTheKeyThatIsMissingAndThoseOfTheFamily) {
  for (const auto& [family, network] : kFamilies) {
    for (const std::string& key : huggingface_keys(family)) {
      Json config = config_of(network);
      const std::string first = key.substr(0, key.find(" or "));
      ASSERT_TRUE(config.contains(first)) << family << " " << key;
      config.erase(first);
      EXPECT_THAT(complaint(config),
                  AllOf(HasSubstr("config.json: expected the key \"" + first + "\""),
                        HasSubstr("got none (a config of " + family + " has "), HasSubstr(key)));
    }
  }
}

TEST(Huggingface, TellsTheKeyWhoseValueIsOfTheWrongType) {
  for (const auto& [family, network] : kFamilies) {
    for (const std::string& key : huggingface_keys(family)) {
      const std::string first = key.substr(0, key.find(" or "));
      for (const Json& wrong : {Json("12"), Json(0), Json(1.5), Json(nullptr), Json(20'000'000)}) {
        Json config = config_of(network);
        config[first] = wrong;
        EXPECT_THAT(complaint(config),
                    AllOf(HasSubstr("config.json: /" + first + ": expected an integer from 1 to"),
                          HasSubstr("got " + wrong.dump())))
            << family;
      }
    }
  }
}

TEST(Huggingface, ListsTheFamiliesWhereTheModelTypeIsUnknownOrMissing) {
  Json config = config_of("gpt2");
  config["model_type"] = "gpt5";
  EXPECT_THAT(complaint(config),
              AllOf(HasSubstr("/model_type: expected one of bert, bloom, deepseek_v2"),
                    HasSubstr("t5, vit, got \"gpt5\"")));
  config.erase("model_type");
  EXPECT_THAT(complaint(config), AllOf(HasSubstr("expected the key \"model_type\", one of bert"),
                                       HasSubstr("got none")));
}

TEST(Huggingface, TakesTheOtherNamesOfAKey) {
  const Json config = {{"model_type", "gpt2"},
                       {"hidden_size", 768},
                       {"num_hidden_layers", 12},
                       {"num_attention_heads", 12},
                       {"vocab_size", 50257}};
  EXPECT_EQ(graph_of(config).parameter_count(), 124'439'808);
}

// transformers: GPT2Config has 1024 positions, n_inner 4 n_embd, dropout 0.1 in all three places.
TEST(Huggingface, TakesTheDefaultsOfTheLibrary) {
  const TransformerShape shape = shape_of_config(
      {{"model_type", "gpt2"}, {"n_embd", 64}, {"n_layer", 2}, {"n_head", 4}, {"vocab_size", 100}});
  EXPECT_EQ(shape.learned_positions, 1024);
  EXPECT_EQ(shape.layers[0].mlp_features, 256);
  EXPECT_EQ(shape.mlp.activation, LayerKind::gelu_tanh);
  EXPECT_TRUE(shape.dropouts.embedding && shape.dropouts.attention && shape.dropouts.residual);
  EXPECT_TRUE(shape.head.tied);
}

Json small_llama(const std::string& model_type) {
  return {{"model_type", model_type}, {"hidden_size", 64},       {"num_hidden_layers", 4},
          {"num_attention_heads", 8}, {"intermediate_size", 96}, {"vocab_size", 100}};
}

// LlamaConfig: num_key_value_heads None, as many as heads; MistralConfig: 8; a window of 4096 where the
// key is left out, none where it is null.
TEST(Huggingface, TellsNullFromAKeyThatIsLeftOut) {
  Json config = small_llama("mistral");
  EXPECT_EQ(shape_of_config(config).layers[0].window, 4096);
  config["sliding_window"] = nullptr;
  EXPECT_EQ(shape_of_config(config).layers[0].window, 0);
  Json llama = small_llama("llama");
  EXPECT_EQ(shape_of_config(llama).attention.kv_heads, 8);
  llama["num_key_value_heads"] = nullptr;
  EXPECT_EQ(shape_of_config(llama).attention.kv_heads, 8);
  llama["num_key_value_heads"] = 2;
  EXPECT_EQ(shape_of_config(llama).attention.kv_heads, 2);
}

std::vector<std::int64_t> windows(const Json& config) {
  std::vector<std::int64_t> found;
  for (const TransformerLayer& layer : shape_of_config(config).layers) {
    found.push_back(layer.window);
  }
  return found;
}

TEST(Huggingface, PutsWindowsWhereTheFamilyHasThem) {
  EXPECT_THAT(windows(small_llama("gemma2")), ElementsAre(4096, 0, 4096, 0));
  Json qwen = small_llama("qwen2");
  qwen["num_key_value_heads"] = 8;
  qwen["max_window_layers"] = 3;
  EXPECT_THAT(windows(qwen), ElementsAre(0, 0, 0, 0));
  qwen["use_sliding_window"] = true;
  EXPECT_THAT(windows(qwen), ElementsAre(0, 0, 0, 4096));
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention", "full_attention"};
  EXPECT_THAT(windows(qwen), ElementsAre(4096, 0, 0, 0));
  qwen["layer_types"].push_back("full_attention");
  EXPECT_THAT(complaint(qwen), HasSubstr("/layer_types: expected 4 entries, one a layer"));
}

TEST(Huggingface, ReadsThePatternOfGptNeo) {
  Json config = config_of("gpt-neo-125m");
  config["num_layers"] = 3;
  config["attention_types"] = Json::parse(R"([[["global"], 1], [["local"], 2]])");
  EXPECT_THAT(windows(config), ElementsAre(0, 256, 256));
  config["attention_types"] = Json::parse(R"([[["global"], 1]])");
  EXPECT_THAT(complaint(config),
              HasSubstr("/attention_types: expected a type for each of 3 layers"));
  config["attention_types"] = Json::parse(R"([[["globe"], 3]])");
  EXPECT_THAT(complaint(config), HasSubstr("expected \"global\" or \"local\", got \"globe\""));
}

TEST(Huggingface, PutsExpertsWhereTheFamilyHasThem) {
  Json config = config_of("qwen1.5-moe-a2.7b");
  config["num_hidden_layers"] = 6;
  config["decoder_sparse_step"] = 2;
  config["mlp_only_layers"] = {3};
  std::vector<bool> experts;
  for (const TransformerLayer& layer : shape_of_config(config).layers) {
    experts.push_back(layer.experts);
  }
  EXPECT_THAT(experts, ElementsAre(false, true, false, false, false, true));
}

// NemotronConfig: relu2, neither biases nor ties, as many key-value heads as heads, hidden over heads
// features in each. nvidia/Minitron-8B-Base has 48 heads of 128 on a width of 4096, which 48 does not divide.
TEST(Huggingface, ReadsNemotronWithTheDefaultsOfItsClass) {
  Json config = small_llama("nemotron");
  TransformerShape shape = shape_of_config(config);
  EXPECT_EQ(shape.norm, TransformerShape::Norm::layer_norm);
  EXPECT_EQ(shape.mlp.activation, LayerKind::relu_squared);
  EXPECT_EQ(shape.attention.kv_heads, 8);
  EXPECT_EQ(shape.attention.qk_features, 8);
  EXPECT_TRUE(shape.attention.rotary);
  EXPECT_FALSE(shape.attention.qkv_bias || shape.attention.output_bias || shape.mlp.bias);
  EXPECT_FALSE(shape.head.tied || shape.dropouts.attention || shape.dropouts.residual);
  config.update({{"hidden_size", 60}, {"num_key_value_heads", 2}, {"mlp_bias", true}});
  EXPECT_THAT(complaint(config), HasSubstr("expected a width that divides into its 8 heads"));
  config["head_dim"] = 16;
  shape = shape_of_config(config);
  EXPECT_EQ(shape.attention.v_features, 16);
  EXPECT_EQ(shape.attention.kv_heads, 2);
  EXPECT_TRUE(shape.mlp.bias);
  // Two tables of 100 * 60, a norm; 4 layers: norms 4 * 60, q and output 2 * 60 * 128, k and v
  // 2 * 60 * 32, MLP 2 * 60 * 96 + 96 + 60.
  EXPECT_EQ(graph_of(config).parameter_count(),
            12'000 + 120 + 4 * (240 + 15'360 + 3'840 + 11'520 + 156));
  config["mlp_bias"] = "no";
  EXPECT_THAT(complaint(config), HasSubstr("/mlp_bias: expected true or false, got \"no\""));
}

Json small_llama4() {
  Json config = small_llama("llama4_text");
  config.update({{"intermediate_size_mlp", 160},
                 {"num_local_experts", 4},
                 {"num_experts_per_tok", 1},
                 {"head_dim", 8},
                 {"num_key_value_heads", 2}});
  return config;
}

std::string layers_of(const Json& config) {
  std::string found;
  for (const TransformerLayer& layer : shape_of_config(config).layers) {
    found += layer.experts ? 'e' : 'd';
    found += layer.plain_heads ? 'p' : 'r';
    found += layer.window > 0 ? "w " : "f ";
  }
  return found;
}

// Llama4TextConfig: experts on every layer; every fourth layer not turned, and without a chunk.
TEST(Huggingface, PutsExpertsAndChunksWhereLlama4HasThem) {
  Json config = small_llama4();
  EXPECT_EQ(layers_of(config), "erw erw erw epf ");
  EXPECT_THAT(windows(config), ElementsAre(8192, 8192, 8192, 0));
  config["interleave_moe_layer_step"] = 2;
  EXPECT_EQ(layers_of(config), "drw erw drw epf ");
  config["moe_layers"] = {0};
  config["no_rope_layers"] = {1, 0, 1, 1};
  EXPECT_EQ(layers_of(config), "erw dpf drw drw ");
  config["no_rope_layers"] = Json::array();
  config["attention_chunk_size"] = nullptr;
  EXPECT_EQ(layers_of(config), "erf drf drf dpf ");
  config["attention_chunk_size"] = 16;
  config["layer_types"] = {"full_attention", "chunked_attention", "full_attention",
                           "full_attention"};
  EXPECT_THAT(windows(config), ElementsAre(0, 16, 0, 0));
  config["layer_types"][0] = "sliding_attention";
  EXPECT_THAT(complaint(config), HasSubstr("/layer_types/0: expected \"chunked_attention\" or "));
  config = small_llama4();
  config["no_rope_layers"] = {1, 1};
  EXPECT_THAT(complaint(config), HasSubstr("/no_rope_layers: expected 4 entries, one a layer"));
  config["no_rope_layers"] = {1, 1, 2, 1};
  EXPECT_THAT(complaint(config), HasSubstr("/no_rope_layers/2: expected an integer from 0 to 1"));
  config = small_llama4();
  config["moe_layers"] = {4};
  EXPECT_THAT(complaint(config), HasSubstr("/moe_layers/0: expected an integer from 0 to 3"));
  config["moe_layers"] = nullptr;
  config["interleave_moe_layer_step"] = 0;
  EXPECT_THAT(complaint(config), HasSubstr("/interleave_moe_layer_step: expected an integer"));
}

// The norms on queries and keys have no gain, and stand only where the heads are turned.
TEST(Huggingface, GivesLlama4NormsWithoutAGain) {
  Json config = small_llama4();
  const OpGraph graph = graph_of(config);
  std::vector<std::string> norms;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const Layer& layer = graph.layer(LayerId{static_cast<std::int32_t>(i)});
    if (layer.name.find("query_norm") == std::string::npos) continue;
    norms.push_back(layer.name);
    EXPECT_EQ(std::get<NormShape>(layer.shape).groups, 8);
    EXPECT_TRUE(parameters_of(layer, LayerId{static_cast<std::int32_t>(i)}).empty());
  }
  EXPECT_THAT(norms, ElementsAre("layer_window_8192_rotary.query_norm"));
  config["use_qk_norm"] = false;
  EXPECT_EQ(graph_of(config).parameter_count(), graph.parameter_count());
}

// The library's Mixtral has two norms a layer, Grok-1 four: 4 layers of 2 * 64 more.
TEST(Huggingface, GivesGrok1ANormBehindEachBranchToo) {
  Json config = small_llama("grok-1");
  config.update({{"num_experts", 4}, {"num_experts_per_tok", 2}, {"num_key_value_heads", 8}});
  Json mixtral = config;
  mixtral.update({{"model_type", "mixtral"}, {"tie_word_embeddings", true}});
  EXPECT_EQ(graph_of(config).parameter_count(), graph_of(mixtral).parameter_count() + 4 * 2 * 64);
  EXPECT_EQ(shape_of_config(config).mlp.activation, LayerKind::gated_gelu);
  EXPECT_TRUE(shape_of_config(config).head.tied);
}

TEST(Huggingface, RefusesActivationsAndValuesThatItCannotBuild) {
  Json config = small_llama("llama");
  config["hidden_act"] = "relu";
  EXPECT_THAT(complaint(config), HasSubstr("/hidden_act: expected one of gelu"));
  config = config_of("gpt2");
  config["activation_function"] = 3;
  EXPECT_THAT(complaint(config), HasSubstr("/activation_function: expected text, got 3"));
  config["activation_function"] = "gelu_new";
  config["attn_pdrop"] = 1.5;
  EXPECT_THAT(complaint(config), HasSubstr("/attn_pdrop: expected a probability below 1"));
  config = config_of("gpt2");
  config["n_head"] = 7;
  EXPECT_THAT(complaint(config), HasSubstr("expected a width that divides into its 7 heads"));
  config = small_llama("llama");
  config["num_key_value_heads"] = 3;
  EXPECT_THAT(complaint(config), HasSubstr("key-value heads that divide its 8 heads, got 3"));
  config = config_of("t5-small");
  config["feed_forward_proj"] = "gated-relu";
  EXPECT_THAT(complaint(config), HasSubstr("/feed_forward_proj: expected one of"));
}

TEST(Huggingface, RefusesSizesWhoseParametersCannotBeCounted) {
  Json config = small_llama("mixtral");
  config["num_local_experts"] = config["num_experts_per_tok"] = 10'000'000;
  config["hidden_size"] = 8'000'000;
  config["intermediate_size"] = 10'000'000;
  EXPECT_THAT(complaint(config), HasSubstr("parameters"));
}

}  // namespace
}  // namespace foreplan
