//! Flights.
