//! stanch-defender-recommendation.
