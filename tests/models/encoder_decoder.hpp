#pragma once

#include "models/transformer.hpp"

namespace foreplan {

/// A T5 of width 16 with 2 heads and a vocabulary of 40.
struct EncoderDecoderSizes {
  int encoder_layers = 2, decoder_layers = 2;
  bool tied = true;  ///< the head reads the table
};

/// Chain: the embedding, the encoder's layers, its last norm, the decoder's embedding and layers, the head.
inline OpGraph small_encoder_decoder(const EncoderDecoderSizes& sizes) {
  TransformerShape shape;
  shape.name = "encoder-decoder";
  shape.hidden = 16;
  shape.vocabulary = 40;
  shape.norm = TransformerShape::Norm::rms_norm;
  shape.attention = {.heads = 2,
                     .kv_heads = 2,
                     .qk_features = 8,
                     .v_features = 8,
                     .causal = false,
                     .qkv_bias = false,
                     .output_bias = false};
  shape.mlp = {.activation = LayerKind::relu, .bias = false};
  const TransformerLayer layer{.mlp_features = 64};
  shape.layers.assign(static_cast<std::size_t>(sizes.encoder_layers), layer);
  shape.decoder_layers.assign(static_cast<std::size_t>(sizes.decoder_layers), layer);
  shape.head.tied = sizes.tied;
  return build_transformer(shape);
}

}  // namespace foreplan
