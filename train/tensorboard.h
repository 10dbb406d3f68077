/*
 * train/tensorboard - a TensorBoard event file from metrics.jsonl.
 *
 * The event file is a projection of the metrics file, remade whole and replaced atomically, so the
 * two cannot disagree and a resumed run leaves no events of steps that were taken back. Each number
 * of a line, but for step and time, becomes a scalar "<kind>/<key>".
 *
 * Layout: TFRecord framing (u64 length, masked crc32c of it, data, masked crc32c of the data;
 * tensorflow/core/lib/io/record_writer) around protobuf messages Event { 1 double wall_time, 2
 * int64 step, 3 string file_version, 5 Summary { 1 Value { 1 string tag, 2 float simple_value } } }
 * (tensorflow/core/util/event.proto, framework/summary.proto), encoded by hand.
 */
#pragma once
#include "base/err.h"

/* metrics_path -> event_path. A line that is no JSON object with step and time is ERR_FORMAT. */
MUST_CHECK bool tensorboard_remake(const char *metrics_path, const char *event_path, struct err *e);
