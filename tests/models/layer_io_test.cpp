#include "models/layer_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/model_file.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

class LayerFile : public ModelFile {};

const std::string kEmbed = R"({"name": "e", "type": "embedding", "rows": 10, "out_features": 12})";

// The layers of a block with grouped queries: q of 4 heads, k and v of 2, 3 features each.
const std::string kAttention =
    R"({"name": "n", "type": "rms_norm"},
       {"name": "q", "type": "linear", "out_features": 12, "inputs": ["n"], "bias": false},
       {"name": "k", "type": "linear", "out_features": 6, "inputs": ["n"], "bias": false},
       {"name": "v", "type": "linear", "out_features": 6, "inputs": ["n"], "bias": false},
       {"name": "qr", "type": "rotary", "inputs": ["q"]},
       {"name": "kr", "type": "rotary", "inputs": ["k"]},
       {"name": "a", "type": "attention", "inputs": ["qr", "kr", "v"], "heads": 4,
        "kv_heads": 2}, )";

// Table 10 * 12; norm 12; q 12 * 12; k, v 12 * 6; the head takes the table and adds a bias of 10.
TEST_F(LayerFile, HoldsATransformerBlockWithTiedWeights) {
  const OpGraph graph = read(token_model(kEmbed + ", " + kAttention +
                                         R"({"name": "sum", "type": "add", "inputs": ["a", "e"]},
         {"name": "head", "type": "linear", "out_features": 10, "tied_to": "e"})"));
  EXPECT_EQ(graph.parameter_count(), 120 + 12 + 144 + 2 * 72 + 10);
  const auto& shape = shape_of<AttentionShape>(graph.layer(LayerId{7}));
  EXPECT_EQ(shape.heads, 4);
  EXPECT_EQ(shape.kv_heads, 2);
  EXPECT_EQ(shape.qk_features, 3);
  EXPECT_EQ(shape.v_features, 3);
  EXPECT_TRUE(shape.causal);
  EXPECT_EQ(graph.layer(LayerId{9}).tied_to, LayerId{0});
  EXPECT_EQ(graph.layer(LayerId{9}).positions, kSourceTokens);
}

TEST_F(LayerFile, ReadsBackWhatIsWritten) {
  const std::string text =
      to_json(read(token_model(kEmbed +
                               R"(, {"name": "p", "type": "position_embedding", "rows": 64},
         {"name": "ct", "type": "class_token"},
         {"name": "x", "type": "layer_norm", "bias": false, "groups": 3},
         {"name": "a", "type": "attention", "inputs": ["x", "x", "x"], "heads": 2, "causal": false,
          "window": 8, "dropout": true},
         {"name": "u", "type": "linear", "out_features": 12, "inputs": ["x"]},
         {"name": "g", "type": "gated_silu", "inputs": ["u", "a"]},
         {"name": "g2", "type": "gated_gelu", "inputs": ["u", "g"]},
         {"name": "t", "type": "tanh"}, {"name": "s", "type": "silu"},
         {"name": "r2", "type": "relu_squared"},
         {"name": "n", "type": "rms_norm", "gain": false, "groups": 4},
         {"name": "n1", "type": "rms_norm", "gain": false},
         {"name": "gt", "type": "gelu_tanh"}, {"name": "d", "type": "dropout"},
         {"name": "first", "type": "select"},
         {"name": "head", "type": "linear", "out_features": 10, "bias": false, "tied_to": "e"})")));
  const OpGraph graph = read(text);
  EXPECT_EQ(to_json(graph), text);
  EXPECT_THAT(text, HasSubstr(R"("heads":2,"causal":false,"window":8,"dropout":true)"));
  // A class token in front of a row a token; `select` leaves one row.
  EXPECT_EQ(graph.layer(LayerId{2}).positions, (Positions{.fixed = 1, .source = 1}));
  EXPECT_EQ(graph.layers().back().positions, Positions{});
}

TEST_F(LayerFile, IsRefusedForTokensWithoutAnEmbedding) {
  EXPECT_EQ(complaint(token_model(R"({"name": "r", "type": "relu"})")),
            "/layers/0: expected an embedding to take the tokens, got relu");
  EXPECT_EQ(complaint(model(kEmbed)),
            "/layers/0: expected tokens as the input of an embedding, got 4 features");
  EXPECT_EQ(complaint(token_model(kEmbed + R"(, {"name": "f", "type": "flatten"})")),
            "/layers/1: expected to flatten at most 10000000 numbers, got 12 features in a row a "
            "token");
}

TEST_F(LayerFile, IsRefusedForHeadsThatDoNotDivide) {
  const auto attention = [&](const std::string& keys) {
    return complaint(token_model(kEmbed + R"(, {"name": "k", "type": "linear", "out_features": 6},
                     {"name": "a", "type": "attention", "inputs": ["e", "k", "k"], )" +
                                 keys + "}"));
  };
  EXPECT_EQ(attention(R"("heads": 5)"),
            "/layers/2/heads: expected a divisor of the 12 features of its input, got 5");
  EXPECT_EQ(attention(R"("heads": 4, "kv_heads": 4)"),
            "/layers/2/kv_heads: expected a divisor of the 6 features of its input, got 4");
  EXPECT_EQ(attention(R"("heads": 4, "kv_heads": 1)"),
            "/layers/2: expected heads of keys as wide as those of queries, 3, got 6");
  EXPECT_EQ(attention(R"("kv_heads": 1)"), "/layers/2: expected the key \"heads\", got none");
  EXPECT_EQ(attention(R"("heads": 4, "kv_heads": 2, "window": 0)"),
            "/layers/2/window: expected an integer from 1 to 10000000, got 0");
}

TEST_F(LayerFile, IsRefusedForATieToAnythingButAnEmbeddingOfItsShape) {
  const auto head = [&](const std::string& keys) {
    return complaint(token_model(kEmbed + R"(, {"name": "h", "type": "linear", )" + keys + "}"));
  };
  EXPECT_EQ(head(R"("out_features": 10, "tied_to": "input")"),
            "/layers/1/tied_to: expected an earlier embedding, got \"input\"");
  EXPECT_EQ(
      head(R"("out_features": 9, "tied_to": "e")"),
      "/layers/1/tied_to: expected an embedding of 9 rows of 12 features (this has 10 of 12), "
      "got \"e\"");
}

TEST_F(LayerFile, IsRefusedForGroupsThatDoNotDivide) {
  EXPECT_EQ(complaint(model(R"({"name": "n", "type": "rms_norm", "groups": 3})")),
            "/layers/0/groups: expected a divisor of its 4 features, got 3");
  EXPECT_THAT(complaint(model(R"({"name": "n", "type": "rms_norm", "bias": true})")),
              HasSubstr("/layers/0/bias: expected one of"));
}

}  // namespace
}  // namespace foreplan
