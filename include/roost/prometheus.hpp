// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// roost's metrics for Prometheus.

#include "roost/prometheus/metrics.hpp"
