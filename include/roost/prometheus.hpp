// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// roost's numbers for Prometheus.

#include "roost/prometheus/metrics.hpp"
