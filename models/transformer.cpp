#include "models/transformer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "models/graph_writer.hpp"
#include "models/transformer_layer.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::size_t kMostTransformerLayers = 10'000;

Positions patches(const TransformerImage& image) {
  const std::int64_t side = image.size / image.patch;
  return {.fixed = side * side};
}

Positions encoder_rows(const TransformerShape& shape) {
  if (!shape.image) return kSourceTokens;
  return {.fixed = patches(*shape.image).fixed + 1};
}

void check(const TransformerShape& shape) {
  const auto fail = [&](const std::string& what) {
    reject(fmt::format("model {}: {}", shape.name, what));
  };
  const std::size_t layers = std::max(shape.layers.size(), shape.decoder_layers.size());
  if (shape.layers.empty() || layers > kMostTransformerLayers) {
    fail(fmt::format("expected 1 to {} layers, got {}", kMostTransformerLayers, layers));
  }
  const TransformerAttention& attention = shape.attention;
  if (attention.kv_heads < 1 || attention.heads % attention.kv_heads != 0) {
    fail(fmt::format("expected key-value heads that divide its {} heads, got {}", attention.heads,
                     attention.kv_heads));
  }
  if (shape.image && shape.image->size < shape.image->patch) {
    fail(fmt::format("a patch of {} pixels is larger than the image, {}", shape.image->patch,
                     shape.image->size));
  }
}

class TransformerWriter {
 public:
  explicit TransformerWriter(const TransformerShape& shape)
      : shape_(shape),
        writer_(shape.name, shape.image ? shape.image->channels : 1, input_rows(shape)),
        rows_(encoder_rows(shape)) {}

  OpGraph graph() && {
    shape_.image ? image_embedding() : token_embedding();
    const bool decodes = !shape_.decoder_layers.empty();
    stack(decodes ? "encoder" : "layer", shape_.layers, shape_.attention, std::nullopt);
    if (decodes) decoder();
    head();
    return std::move(writer_).graph();
  }

 private:
  static Positions input_rows(const TransformerShape& shape) {
    if (shape.image) return {.fixed = shape.image->size * shape.image->size};
    return shape.decoder_layers.empty() ? kSourceTokens
                                        : Positions{.fixed = 0, .source = 1, .target = 1};
  }
  TransformerLayerWriter layers() { return {shape_, writer_, rows_}; }

  LayerId table(const std::string& name, LayerKind kind, LayerId x, std::int64_t rows,
                std::int64_t in, std::int64_t out) {
    return writer_.add({.name = name,
                        .kind = kind,
                        .in_features = in,
                        .out_features = out,
                        .positions = rows_,
                        .shape = TableShape{rows}},
                       {x});
  }

  void token_embedding() {
    writer_.begin_block("embedding", BlockRole::embedding);
    const std::int64_t width =
        shape_.embedding_features > 0 ? shape_.embedding_features : shape_.hidden;
    LayerId x = table_ =
        table("tokens", LayerKind::embedding, kModelInput, shape_.vocabulary, 1, width);
    if (width != shape_.hidden) x = layers().linear("widen", x, width, shape_.hidden, false);
    if (shape_.token_types > 0) x = positions("token_types", x, shape_.token_types);
    finish_embedding(x);
  }

  LayerId positions(const std::string& name, LayerId x, std::int64_t rows) {
    return table(name, LayerKind::position_embedding, x, rows, shape_.hidden, shape_.hidden);
  }

  void finish_embedding(LayerId x) {
    if (shape_.learned_positions > 0) x = positions("positions", x, shape_.learned_positions);
    if (shape_.embedding_norm) x = layers().norm("norm", x, shape_.hidden);
    layers().dropout_if(shape_.dropouts.embedding, "dropout", x, shape_.hidden);
    writer_.run();
  }

  void image_embedding() {
    writer_.begin_block("embedding", BlockRole::embedding);
    const TransformerImage& image = *shape_.image;
    const SpatialShape window{.in_height = image.size,
                              .in_width = image.size,
                              .kernel_height = image.patch,
                              .kernel_width = image.patch,
                              .stride = image.patch};
    LayerId x = writer_.add({.name = "patches",
                             .kind = LayerKind::conv2d,
                             .in_features = image.channels,
                             .out_features = shape_.hidden,
                             .positions = patches(image),
                             .shape = window},
                            {kModelInput});
    x = layers().unary("class_token", LayerKind::class_token, x, shape_.hidden);
    finish_embedding(x);
  }

  /// A block for each class of equal layers, and the runs of these classes.
  void stack(const std::string& name, const std::vector<TransformerLayer>& entries,
             const TransformerAttention& attention, std::optional<LayerId> encoder) {
    std::map<std::pair<TransformerLayer, bool>, std::int32_t> classes;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const bool first = i == 0 && attention.distance_buckets > 0;
      const auto [at, is_new] = classes.try_emplace({entries[i], first}, 0);
      if (is_new) {
        TransformerAttention own = attention;
        if (!first) own.distance_buckets = 0;
        if (entries[i].plain_heads) own.rotary = own.head_norms = false;
        writer_.begin_block(class_name(name, entries, entries[i], first), BlockRole::layer);
        layers().layer(entries[i], own, encoder);
        at->second = writer_.current_block();
      }
      writer_.run(at->second, 1);
    }
  }

  /// The stack's name, and behind it whatever tells this class of its layers from the others.
  static std::string class_name(const std::string& stack,
                                const std::vector<TransformerLayer>& entries,
                                const TransformerLayer& layer, bool first) {
    const auto differs = [&](auto member) {
      return std::any_of(entries.begin(), entries.end(),
                         [&](const TransformerLayer& l) { return l.*member != layer.*member; });
    };
    std::string name = stack;
    if (first) name += "_first";
    if (differs(&TransformerLayer::experts)) name += layer.experts ? "_experts" : "_dense";
    if (differs(&TransformerLayer::window)) name += layer.window > 0 ? "_window" : "_full";
    if (layer.window > 0 && differs(&TransformerLayer::window)) {
      name += fmt::format("_{}", layer.window);
    }
    if (differs(&TransformerLayer::plain_heads)) name += layer.plain_heads ? "_plain" : "_rotary";
    if (!layer.experts && differs(&TransformerLayer::mlp_features)) {
      name += fmt::format("_{}", layer.mlp_features);
    }
    return name;
  }

  void decoder() {
    writer_.begin_block("encoder_output", BlockRole::bridge);
    const LayerId norm = layers().norm("norm", kBlockInput, shape_.hidden);
    const LayerId encoder =
        layers().dropout_if(shape_.dropouts.output, "dropout", norm, shape_.hidden);
    writer_.run();
    rows_ = kTargetTokens;
    writer_.begin_block("decoder_embedding", BlockRole::bridge);
    const LayerId x = writer_.add({.name = "tokens",
                                   .kind = LayerKind::embedding,
                                   .in_features = 1,
                                   .out_features = shape_.hidden,
                                   .positions = rows_,
                                   .shape = TableShape{shape_.vocabulary},
                                   .tied_to = table_},
                                  {kModelInput});
    layers().dropout_if(shape_.dropouts.embedding, "dropout", x, shape_.hidden);
    writer_.run();
    TransformerAttention attention = shape_.attention;
    attention.causal = true;
    stack("decoder", shape_.decoder_layers, attention, encoder);
  }

  void head() {
    const LayerId body = writer_.last();
    const bool pairs = shape_.head.pair_classes > 0;
    if (pairs) pooler();
    writer_.begin_block("head", BlockRole::head);
    if (pairs) {
      const LayerId scores =
          summary().linear("pairs", kBlockInput, shape_.hidden, shape_.head.pair_classes, true);
      loss("pairs_loss", scores, shape_.head.pair_classes, Positions{});
    }
    shape_.image ? image_head() : token_head(pairs ? body : kBlockInput);
    writer_.run();
  }

  /// Writes layers of one row a sample.
  TransformerLayerWriter summary() { return {shape_, writer_, Positions{}}; }

  LayerId select(const std::string& name, LayerId x) {
    return writer_.add({.name = name,
                        .kind = LayerKind::select,
                        .in_features = shape_.hidden,
                        .out_features = shape_.hidden,
                        .positions = {}},
                       {x});
  }

  void pooler() {
    writer_.begin_block("pooler", BlockRole::bridge);
    LayerId x = select("select", kBlockInput);
    x = summary().linear("linear", x, shape_.hidden, shape_.hidden, true);
    summary().unary("tanh", LayerKind::tanh, x, shape_.hidden);
    writer_.run();
  }

  void loss(const std::string& name, LayerId x, std::int64_t classes, const Positions& rows) {
    writer_.add({.name = name,
                 .kind = LayerKind::softmax_cross_entropy,
                 .in_features = classes,
                 .out_features = 1,
                 .positions = rows},
                {x});
  }

  void image_head() {
    LayerId x = shape_.head.norm ? layers().norm("norm", kBlockInput, shape_.hidden) : kBlockInput;
    x = select("select", x);
    x = summary().linear("classes", x, shape_.hidden, shape_.head.classes, true);
    loss("loss", x, shape_.head.classes, Positions{});
  }

  void token_head(LayerId x) {
    const TransformerHead& head = shape_.head;
    TransformerLayerWriter layers = this->layers();
    if (head.norm) x = layers.norm("norm", x, shape_.hidden);
    x = layers.dropout_if(shape_.dropouts.output, "dropout", x, shape_.hidden);
    if (head.transform) {
      x = layers.linear("transform", x, shape_.hidden, shape_.hidden, true);
      x = layers.unary("transform_activation", shape_.mlp.activation, x, shape_.hidden);
      x = layers.norm("transform_norm", x, shape_.hidden);
    }
    std::int64_t width = shape_.hidden;
    if (shape_.embedding_features > 0 && shape_.embedding_features != width) {
      x = layers.linear("narrow", x, width, shape_.embedding_features, false);
      width = shape_.embedding_features;
    }
    x = writer_.add({.name = "vocabulary",
                     .kind = LayerKind::linear,
                     .in_features = width,
                     .out_features = shape_.vocabulary,
                     .bias = head.bias,
                     .positions = rows_,
                     .tied_to = head.tied ? std::optional(table_) : std::nullopt},
                    {x});
    if (head.soft_cap) x = layers.unary("soft_cap", LayerKind::tanh, x, shape_.vocabulary);
    loss("loss", x, shape_.vocabulary, rows_);
  }

  const TransformerShape& shape_;
  GraphWriter writer_;
  Positions rows_;
  LayerId table_{};
};

}  // namespace

OpGraph build_transformer(const TransformerShape& shape) {
  check(shape);
  return TransformerWriter(shape).graph();
}

}  // namespace foreplan
