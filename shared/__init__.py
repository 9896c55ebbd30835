"""What more than one service needs: contracts, the chassis, and what public pages have in common."""
