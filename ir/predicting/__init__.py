"""What a placed mapping will do in time: rows played through the chip, and what every unit does."""
